import type { InfraConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import { ensureHome, type HomePaths } from "../shared/paths.ts";
import { infraPorts } from "../shared/settings.ts";
import { type Credentials, ensureCredentials } from "./credentials.ts";
import { findRecord, type InfraRecord } from "./record.ts";
import type { Infra } from "./services.ts";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Where every service of this machine is: a URL of the config where one is given, else the ports that the running infra
 * was started with, else the ports of the environment. Starts nothing.
 */
export async function resolveInfra(paths: HomePaths, config: InfraConfig, env: Env): Promise<Infra> {
  await ensureHome(paths);
  const credentials = await ensureCredentials(paths);
  const record = await findRecord(paths);
  const ports = record?.ports ?? infraPorts(env);
  return {
    machine: credentials.machine,
    ...(record === undefined ? {} : { driver: record.driver }),
    postgres: { ...postgres(config, credentials, ports.postgres), reflink: isReflink(config, record) },
    s3: s3(config, credentials, ports.s3),
    browser: browser(config, ports.browser),
    mail: mail(config, ports.mailSmtp, ports.mailWeb),
  };
}

/** Only our own server's files are on this machine's disk, to be asked about reflinks. */
const isReflink = (config: InfraConfig, record: InfraRecord | undefined): boolean =>
  config.postgres.url === undefined && record?.reflink === true;

function postgres(config: InfraConfig, credentials: Credentials, port: number): Omit<Infra["postgres"], "reflink"> {
  const { url } = config.postgres;
  if (url === undefined) return { host: "localhost", port, ...credentials.postgres, external: false };
  const parsed = parseUrl("infra.postgres.url", url, ["postgres:", "postgresql:"], 5432);
  return {
    host: parsed.hostname,
    port: parsed.portNumber,
    user: decodeURIComponent(parsed.username) || "postgres",
    password: decodeURIComponent(parsed.password),
    external: true,
  };
}

function s3(config: InfraConfig, credentials: Credentials, port: number): Infra["s3"] {
  const { url, accessKey, secretKey, region } = config.s3;
  if (url === undefined) {
    return { host: "localhost", port, url: `http://localhost:${port}`, ...credentials.s3, region, external: false };
  }
  if (!accessKey || !secretKey) {
    throw new HarnessError("CONFIG_INVALID", "infra.s3.url is set, but its keys are missing.", {
      hint: "Set infra.s3.accessKey and infra.s3.secretKey, or AGENT_HARNESS_S3_ACCESS_KEY and AGENT_HARNESS_S3_SECRET_KEY.",
    });
  }
  const parsed = parseUrl("infra.s3.url", url, ["http:", "https:"], url.startsWith("https") ? 443 : 80);
  return {
    host: parsed.hostname,
    port: parsed.portNumber,
    url: parsed.origin,
    accessKey,
    secretKey,
    region,
    external: true,
  };
}

function browser(config: InfraConfig, port: number): Infra["browser"] {
  const { url } = config.browser;
  if (url === undefined) {
    // In a container with a network of its own too: templates/browser-localhost.mjs.
    return { host: "localhost", port, url: `ws://127.0.0.1:${port}`, external: false };
  }
  const parsed = parseUrl("infra.browser.url", url, ["ws:", "wss:"], url.startsWith("wss") ? 443 : 80);
  return { host: parsed.hostname, port: parsed.portNumber, url, external: true };
}

function mail(config: InfraConfig, smtpPort: number, webPort: number): Infra["mail"] {
  const { smtpUrl, webUrl } = config.mail;
  if (smtpUrl === undefined && webUrl === undefined) {
    return {
      smtpHost: "localhost",
      smtpPort,
      smtpUrl: `smtp://localhost:${smtpPort}`,
      webUrl: `http://localhost:${webPort}`,
      external: false,
    };
  }
  if (smtpUrl === undefined || webUrl === undefined) {
    throw new HarnessError("CONFIG_INVALID", "infra.mail needs both smtpUrl and webUrl, or neither.", {
      hint: "The web URL is where mails are read back.",
    });
  }
  const parsed = parseUrl("infra.mail.smtpUrl", smtpUrl, ["smtp:"], 25);
  parseUrl("infra.mail.webUrl", webUrl, ["http:", "https:"], 80);
  return {
    smtpHost: parsed.hostname,
    smtpPort: parsed.portNumber,
    smtpUrl,
    webUrl: webUrl.replace(/\/$/, ""),
    external: true,
  };
}

function parseUrl(key: string, text: string, protocols: string[], defaultPort: number) {
  const parsed = URL.canParse(text) ? new URL(text) : null;
  if (parsed === null || !protocols.includes(parsed.protocol) || parsed.hostname === "") {
    // Not the text itself: it may hold a password.
    throw new HarnessError(
      "CONFIG_INVALID",
      `${key} is not a URL that begins with ${protocols.map((p) => `${p}//`).join(" or ")}.`,
      {
        hint: "Run: agent-harness config",
      },
    );
  }
  const { hostname, username, password, origin, port } = parsed;
  return { hostname, username, password, origin, portNumber: port === "" ? defaultPort : Number(port) };
}
