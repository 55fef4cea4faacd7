import type { Infra } from "../infra/index.ts";
import { HarnessError } from "../shared/errors.ts";
import type { Ledger, ResourceKind } from "./ledger.ts";
import { entryOf } from "./resource.ts";

/** What the ledger says for a server of this machine's infra, wherever its ports are moved to. */
const own = "this machine's own";

interface Place {
  /** Host and port, or `own`; never with a user or password. */
  server: (infra: Infra) => string;
  key: string;
  variable: string;
}

/** The resources that lie on a server which the config or the shell may change under them. */
const places: Partial<Record<ResourceKind, Place>> = {
  database: {
    server: ({ postgres }) => (postgres.external ? `${postgres.host}:${postgres.port}` : own),
    key: "infra.postgres.url",
    variable: "AGENT_HARNESS_POSTGRES_URL",
  },
  bucket: {
    server: ({ s3 }) => (s3.external ? new URL(s3.url).origin : own),
    key: "infra.s3.url",
    variable: "AGENT_HARNESS_S3_URL",
  },
  mailbox: {
    server: ({ mail }) => (mail.external ? new URL(mail.webUrl).origin : own),
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
    if (typeof was !== "string" || was === now) return [];
    const wayOut = was === own ? `take away ${key} and ${variable}` : `set ${key} or ${variable} to ${was} again`;
    return [{ text: `the ${kind} lies on ${was}, and ${key} now means ${now}`, wayOut }];
  });
  if (different.length === 0) return;
  const { id } = ledger;
  const what = different.map((one) => one.text).join("; ");
  throw new HarnessError("INFRA_DIFFERS", `Agent ${id} was launched on other infra: ${what}.`, {
    hint: `To reach it, ${different.map((one) => one.wayOut).join(", ")}. To move it, then run agent-harness teardown ${id}, and launch it anew.`,
    leftBehind: "everything: nothing was touched",
    context: { id },
  });
}
