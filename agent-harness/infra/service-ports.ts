import { requireFreePorts } from "../shared/ports.ts";
import type { InfraRecord } from "./record.ts";
import type { ServiceId } from "./services.ts";

/** The ports of each service, by the variable that moves each; only MinIO has a console. */
export function servicePorts(
  id: ServiceId,
  ports: InfraRecord["ports"],
  { withConsole = false }: { withConsole?: boolean } = {},
): Readonly<Record<string, number>> {
  const all: Readonly<Record<ServiceId, Record<string, number>>> = {
    postgres: { AGENT_DB_PORT: ports.postgres },
    s3: { AGENT_MINIO_PORT: ports.s3, ...(withConsole ? { AGENT_MINIO_CONSOLE_PORT: ports.s3Console } : {}) },
    browser: { AGENT_BROWSER_PORT: ports.browser },
    mail: { AGENT_MAILPIT_SMTP_PORT: ports.mailSmtp, AGENT_MAILPIT_WEB_PORT: ports.mailWeb },
  };
  return all[id];
}

/** Throws PORT_TAKEN, naming the holder, unless every port of these services is free. */
export async function requireServicePorts(
  ids: readonly ServiceId[],
  { ports }: Pick<InfraRecord, "ports">,
  options?: { withConsole?: boolean },
): Promise<void> {
  for (const id of ids) {
    await requireFreePorts(
      servicePorts(id, ports, options),
      "Stop that process, or choose another port with the variable in parentheses.",
    );
  }
}
