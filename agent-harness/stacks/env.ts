import { delimiter } from "node:path";
import type { Infra } from "../infra/index.ts";
import type { EnvironmentConfig, ProjectConfig } from "../shared/config-schema.ts";
import { bucketName, databaseName, mailAddress, portStep } from "../shared/names.ts";
import { binPath } from "../shared/words.ts";
import { fill } from "./render.ts";

/** Everything that `{{…}}` in the config and in templates can name. */
export interface StackValues {
  /** The agent id; 0 while the template database is built. */
  id: number;
  project: string;
  workdir: string;
  ports: Record<string, number>;
  /** `http://localhost:<port>` for each port. */
  urls: Record<string, string>;
  database: { host: string; port: number; user: string; password: string; name: string };
  s3: { url: string; bucket: string; accessKey: string; secretKey: string; region: string };
  browser: { host: string; port: number; url: string };
  mail: { smtpHost: string; smtpPort: number; webUrl: string; address: string };
}

/** The ports of one agent: each base plus ten times the id. */
export function stackPorts(ports: ProjectConfig["ports"], id: number): Record<string, number> {
  return Object.fromEntries(Object.entries(ports).map(([name, base]) => [name, base + id * portStep]));
}

export interface ValuesOptions {
  id: number;
  project: string;
  workdir: string;
  ports: Record<string, number>;
  infra: Infra;
  /** For the template database: the scratch database and a shared bucket stand in for the agent's own. */
  database?: string;
  bucket?: string;
}

/** What a stack's texts are filled in with. */
export function stackValues({ id, project, workdir, ports, infra, ...own }: ValuesOptions): StackValues {
  const { host, port, user, password } = infra.postgres;
  const { smtpHost, smtpPort, webUrl } = infra.mail;
  const { accessKey, secretKey, region } = infra.s3;
  return {
    id,
    project,
    workdir,
    ports,
    urls: Object.fromEntries(Object.entries(ports).map(([name, number]) => [name, `http://localhost:${number}`])),
    database: { host, port, user, password, name: own.database ?? databaseName(id) },
    s3: { url: infra.s3.url, bucket: own.bucket ?? bucketName(id), accessKey, secretKey, region },
    browser: { host: infra.browser.host, port: infra.browser.port, url: infra.browser.url },
    mail: { smtpHost, smtpPort, webUrl, address: mailAddress(id) },
  };
}

/** The variables of a stack's env file: the seed's names, then the config's own on top, then those of the command line. */
export function stackEnv(
  values: StackValues,
  config: EnvironmentConfig,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return { ...layEnv(defaultEnv(values), config, values, "env"), ...extra };
}

/** Variables of the config on top of others; null takes one away, `{{…}}` is filled in. */
export function layEnv(
  base: Readonly<Record<string, string>>,
  config: EnvironmentConfig,
  values: StackValues,
  where: string,
): Record<string, string> {
  const env = { ...base };
  for (const [key, value] of Object.entries(config)) {
    if (value === null) delete env[key];
    else env[key] = fill(String(value), { ...values, env }, `${where}.${key}`);
  }
  return env;
}

/** The seed's variables (its §7), by the names that its application reads. */
function defaultEnv(values: StackValues): Record<string, string> {
  const { id, ports, database, s3, browser, mail } = values;
  return {
    AGENT_ID: String(id),
    ...portVariables(ports),
    PGHOST: database.host,
    PGPORT: String(database.port),
    PGUSER: database.user,
    PGPASSWORD: database.password,
    PGDATABASE: database.name,
    S3_ENDPOINT: s3.url,
    S3_REGION: s3.region,
    S3_BUCKET: s3.bucket,
    S3_ACCESS_KEY: s3.accessKey,
    S3_SECRET_KEY: s3.secretKey,
    S3_FORCE_PATH_STYLE: "true",
    HEADLESS_BROWSER_HOST: browser.host,
    HEADLESS_BROWSER_PORT: String(browser.port),
    EMAIL_SMTP_HOST: mail.smtpHost,
    EMAIL_SMTP_PORT: String(mail.smtpPort),
    EMAIL_SMTP_SECURE: "false",
    EMAIL_SMTP_USE_AUTH: "false",
    EMAIL_SMTP_SENDER_NAME: `agent-${id}`,
    EMAIL_SMTP_SENDER_EMAIL: mail.address,
    LIGHTDASH_SECRET: `agent-${id}-secret`,
    SCHEDULER_ENABLED: "false",
    ...externalServicesOff,
  };
}

/** PORT is the API's, as in the seed; each port also has a variable of its own, the front end's by the seed's name FE_PORT. */
function portVariables(ports: Record<string, number>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, port] of Object.entries(ports)) {
    env[name === "frontend" ? "FE_PORT" : `${name.toUpperCase().replaceAll("-", "_")}_PORT`] = String(port);
  }
  if (ports["api"] !== undefined) env["PORT"] = String(ports["api"]);
  const site = ports["frontend"] ?? ports["api"];
  if (site !== undefined) env["SITE_URL"] = `http://localhost:${site}`;
  return env;
}

/** An empty RUDDERSTACK_WRITE_KEY would fall back to the application's own key, so that one is turned off by its switch. */
const externalServicesOff: Readonly<Record<string, string>> = {
  RUDDERSTACK_ANALYTICS_DISABLED: "true",
  RUDDERSTACK_WRITE_KEY: "",
  RUDDERSTACK_DATA_PLANE_URL: "",
  POSTHOG_PROJECT_API_KEY: "",
  INTERCOM_APP_ID: "",
  SENTRY_DSN: "",
  SENTRY_BE_DSN: "",
  SENTRY_FE_DSN: "",
};

/** What a program needs of the machine to run at all; the only part of the shell's environment that a stack sees. */
const inherited = ["HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/**
 * Where programs of a stack are looked for from `cwd`, the same whether we were started by hand, by npx or by npm: what
 * those put into PATH for us is left out.
 */
export function stackPath(
  workdir: string,
  cwd: string,
  machine: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  const path = (machine["PATH"] ?? "").split(delimiter).filter((entry) => !ofNpm.test(entry));
  return binPath(workdir, cwd, { PATH: path.join(delimiter) });
}

const ofNpm = /[/\\](?:node_modules[/\\]\.bin|node-gyp-bin)[/\\]?$/;

/** The whole environment of a program of a stack: a few facts of the machine, PATH, and the stack's own variables. */
export function processEnv(
  own: Readonly<Record<string, string>>,
  path: readonly string[],
  machine: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const facts = inherited.flatMap((key) => {
    const value = machine[key];
    return value === undefined ? [] : [[key, value]];
  });
  return { ...Object.fromEntries(facts), PATH: path.join(":"), ...own };
}
