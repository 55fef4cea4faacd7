import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { serviceProcessName } from "../../shared/names.ts";
import { type HomePaths, packageRoot } from "../../shared/paths.ts";
import type { ProcessSpec } from "../../shared/processes.ts";
import type { Credentials } from "../credentials.ts";
import type { InfraRecord } from "../record.ts";
import type { ServiceId } from "../services.ts";
import { findChromium } from "./chromium.ts";
import { preparePostgres } from "./postgres-cluster.ts";
import { serviceMark } from "./strays.ts";

/* What each service of the embedded driver is: a process under PM2, from packages of npm. */

export interface EmbeddedOptions {
  paths: HomePaths;
  credentials: Credentials;
  ports: InfraRecord["ports"];
  durability: "safe" | "throwaway";
  /** The project's variables: AGENT_HARNESS_CHROMIUM may be set in its .env.agent-harness only. */
  env: Readonly<Record<string, string | undefined>>;
}

/** Makes what one service needs on disk and returns how PM2 runs it. */
export async function prepareService(id: ServiceId, options: EmbeddedOptions): Promise<ProcessSpec> {
  return await prepare[id](options);
}

/** What only a restart changes in a running service, as a short hash: this program's version and the config's settings. */
export async function settingsHash(
  id: ServiceId,
  { durability }: Pick<EmbeddedOptions, "durability">,
): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageRoot(), "package.json"), "utf8")) as { version: string };
  const settings = id === "postgres" ? durability : "";
  return createHash("sha256").update(`${version} ${settings}`).digest("hex").slice(0, 12);
}

/** Where a service's output goes. */
export const serviceLog = (paths: HomePaths, id: ServiceId): string => join(paths.logs, `infra-${id}.log`);

const prepare: Readonly<Record<ServiceId, (options: EmbeddedOptions) => Promise<ProcessSpec>>> = {
  postgres: async ({ paths, credentials, ports, durability }) =>
    await preparePostgres(paths, credentials, {
      port: ports.postgres,
      durability,
      name: serviceProcessName("postgres"),
      logFile: serviceLog(paths, "postgres"),
    }),
  s3: async ({ paths, credentials, ports }) =>
    server("s3", paths, {
      S3_PORT: String(ports.s3),
      S3_DATA: paths.s3Data,
      S3_ACCESS_KEY: credentials.s3.accessKey,
      S3_SECRET_KEY: credentials.s3.secretKey,
    }),
  browser: async ({ paths, ports, env }) => {
    // Found here, so that a machine without a browser hears it from the command and not from a log.
    const chromium = await findChromium({ folder: paths.browser, env });
    return server("browser", paths, { BROWSER_PORT: String(ports.browser), AGENT_HARNESS_CHROMIUM: chromium.path });
  },
  mail: async ({ paths, ports }) =>
    server("mail", paths, {
      MAIL_SMTP_PORT: String(ports.mailSmtp),
      MAIL_WEB_PORT: String(ports.mailWeb),
      MAIL_DATA: paths.mailData,
    }),
};

function server(id: ServiceId, paths: HomePaths, env: Record<string, string>): ProcessSpec {
  return {
    name: serviceProcessName(id),
    script: process.execPath,
    args: [join(packageRoot(), "dist", "infra", "servers", `${id}.js`)],
    cwd: paths.home,
    env: {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: process.env["HOME"] ?? paths.home,
      AGENT_HARNESS_HOME: paths.home,
      [serviceMark]: paths.home,
      ...env,
    },
    logFile: serviceLog(paths, id),
  };
}
