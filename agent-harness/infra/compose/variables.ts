import type { DriverContext } from "../driver.ts";
import type { ComposeSettings } from "./agree.ts";
import { localhostIsTheMachine } from "./localhost.ts";
import { secretsFolder } from "./secrets.ts";

/** Every variable that templates/docker-compose.agent.yml reads; none of them is a secret. */
export function composeVariables(
  { paths, credentials, record: { ports }, config }: DriverContext,
  { images, browserNetwork }: ComposeSettings,
): Record<string, string> {
  return {
    AGENT_HARNESS_MACHINE: credentials.machine,
    AGENT_HARNESS_HOME: paths.home,
    AGENT_HARNESS_SECRETS: secretsFolder(paths),
    // Read back by find-own.ts.
    AGENT_HARNESS_PORTS: Object.entries(ports)
      .map(([name, port]) => `${name}=${port}`)
      .join(" "),
    AGENT_DB_IMAGE: images.postgres,
    AGENT_MINIO_IMAGE: images.s3,
    AGENT_BROWSER_IMAGE: images.browser,
    AGENT_MAIL_IMAGE: images.mail,
    AGENT_DB_PORT: String(ports.postgres),
    AGENT_MINIO_PORT: String(ports.s3),
    AGENT_MINIO_CONSOLE_PORT: String(ports.s3Console),
    AGENT_BROWSER_PORT: String(ports.browser),
    AGENT_MAILPIT_WEB_PORT: String(ports.mailWeb),
    AGENT_MAILPIT_SMTP_PORT: String(ports.mailSmtp),
    AGENT_DB_USER: credentials.postgres.user,
    AGENT_DB_FSYNC: config.postgres.durability === "safe" ? "on" : "off",
    AGENT_S3_REGION: config.s3.region,
    AGENT_BROWSER_NETWORK: browserNetwork,
    // In a network of its own it has to listen on that; the published port is on loopback either way.
    AGENT_BROWSER_HOST: browserNetwork === "host" ? "127.0.0.1" : "0.0.0.0",
    AGENT_BROWSER_NODE_OPTIONS: browserNetwork === "host" ? "" : localhostIsTheMachine(),
  };
}
