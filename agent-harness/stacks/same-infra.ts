import { type DriverName, driverNames, type Infra } from "../infra/index.ts";
import { HarnessError } from "../shared/errors.ts";
import type { Ledger, ResourceKind } from "./ledger.ts";
import { entryOf } from "./resource.ts";

/** What the ledger says for a server of this machine's infra, wherever its ports are moved to; the driver stands behind it. */
const own = "this machine's own";

const ownServer = ({ driver }: Infra): string => (driver === undefined ? own : `${own} (${driver})`);

const driverIn = (server: string): DriverName | undefined => driverNames.find((name) => server === `${own} (${name})`);

/** A ledger or an infra that knows no driver is let pass: older ledgers have none, and infra that is down runs on none. */
function isSame(was: string, now: string): boolean {
  if (was === now) return true;
  const bothOwn = was.startsWith(own) && now.startsWith(own);
  return bothOwn && (driverIn(was) === undefined || driverIn(now) === undefined);
}

/** The driver that a stack's resources lie on, where its ledger knows. */
export function driverOf(ledger: Ledger): DriverName | undefined {
  const servers = ledger.resources.map((one) => one.data["server"]);
  return servers.map((server) => driverIn(String(server))).find((driver) => driver !== undefined);
}

interface Place {
  /** Host and port, or `own`; never with a user or password. */
  server: (infra: Infra) => string;
  key: string;
  variable: string;
}

/** The resources that lie on a server which the config or the shell may change under them. */
const places: Partial<Record<ResourceKind, Place>> = {
  database: {
    server: (infra) => (infra.postgres.external ? `${infra.postgres.host}:${infra.postgres.port}` : ownServer(infra)),
    key: "infra.postgres.url",
    variable: "AGENT_HARNESS_POSTGRES_URL",
  },
  bucket: {
    server: (infra) => (infra.s3.external ? new URL(infra.s3.url).origin : ownServer(infra)),
    key: "infra.s3.url",
    variable: "AGENT_HARNESS_S3_URL",
  },
  mailbox: {
    server: (infra) => (infra.mail.external ? new URL(infra.mail.webUrl).origin : ownServer(infra)),
    key: "infra.mail.webUrl",
    variable: "AGENT_HARNESS_MAIL_WEB_URL",
  },
};

/** Where a resource lies, for its entry in the ledger; nothing for one that lies on no server. */
export function serverOf(kind: ResourceKind, infra: Infra): { server?: string } {
  const place = places[kind];
  return place === undefined ? {} : { server: place.server(infra) };
}

/**
 * Throws INFRA_DIFFERS when a stack was made on other servers than the config and the shell mean now: to look there would
 * find nothing, and the real thing would be forgotten. What a ledger does not know of is let pass.
 */
export function requireSameInfra(ledger: Ledger, infra: Infra): void {
  const different = Object.entries(places).flatMap(([kind, { server, key, variable }]) => {
    const [was, now] = [entryOf(ledger, kind as ResourceKind)?.["server"], server(infra)];
    if (typeof was !== "string" || isSame(was, now)) return [];
    const driver = driverIn(was);
    const wayOut =
      driver !== undefined && now.startsWith(own)
        ? `run agent-harness infra down --force, then agent-harness infra up --driver ${driver}`
        : was.startsWith(own)
          ? `take away ${key} and ${variable}`
          : `set ${key} or ${variable} to ${was} again`;
    return [{ text: `the ${kind} lies on ${was}, and ${key} now means ${now}`, wayOut }];
  });
  if (different.length === 0) return;
  const { id } = ledger;
  const what = different.map((one) => one.text).join("; ");
  throw new HarnessError("INFRA_DIFFERS", `Agent ${id} was launched on other infra: ${what}.`, {
    hint: `To reach it, ${[...new Set(different.map((one) => one.wayOut))].join(", ")}. To move it, then run agent-harness teardown ${id}, and launch it anew.`,
    leftBehind: "everything: nothing was touched",
    context: { id },
  });
}
