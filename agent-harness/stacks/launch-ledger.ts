import type { Infra } from "../infra/index.ts";
import { emptyLedger } from "./empty-ledger.ts";
import { getLedger, type Ledger, readLedger } from "./ledger.ts";
import { type LifetimeWish, lifetimeOf } from "./lifetime.ts";
import type { StackPlan } from "./plan.ts";
import type { Project } from "./project.ts";
import { rebuildLedger } from "./rebuild.ts";
import { claimId, listClaims } from "./registry.ts";
import { requireSameInfra } from "./same-infra.ts";

/**
 * Claims the id, before the ledger is touched: it may be that of another repository's stack. Returns this stack's ledger
 * where there is one; a lost or unreadable one is rebuilt from what exists. A reset or restore has to find one.
 */
export async function takeId(
  project: Project,
  infra: Infra,
  { id, workdir }: StackPlan,
  mustExist: boolean,
): Promise<Ledger | undefined> {
  const { paths, repository, name, path } = project;
  if (mustExist) await getLedger(paths, id);
  const isClaimed = (await listClaims(paths)).some((one) => one.id === id);
  await claimId(paths, { id, repository, project: name, workdir, configPath: path });
  const found = await readLedger(paths, id);
  if (found !== undefined && "ledger" in found) {
    requireSameInfra(found.ledger, infra);
    return found.ledger;
  }
  return isClaimed || found !== undefined ? await rebuildLedger({ paths, infra, id }) : undefined;
}

/** The ledger of what this launch will make, on top of what is there. */
export function newLedger(
  project: Project,
  plan: StackPlan,
  known: Ledger | undefined,
  lifetime?: LifetimeWish,
): Ledger {
  const { id, workdir } = plan;
  const { name, repository, path, config } = project;
  return {
    ...emptyLedger({ id, project: name, repository, workdir, configPath: path }, known?.createdAt),
    ...lifetimeOf(known, lifetime, config.lifetime, Date.now()),
    ...(known?.resetting ? { resetting: true } : {}),
    ...(known?.restoring === undefined ? {} : { restoring: known.restoring }),
    ports: plan.values.ports,
    urls: urlsOf(plan),
    resources: known?.resources ?? [],
    processes: plan.processes.map(({ name, spec, aliases, port, health }) => ({
      process: name,
      name: spec.name,
      aliases,
      logFile: spec.logFile,
      settleMs: config.settleMs,
      ...(port === undefined ? {} : { port }),
      ...(health === undefined ? {} : { healthUrl: health.url, healthTimeoutMs: health.timeoutMs }),
    })),
  };
}

/** The URLs that a person can open: those of the ports that a running process listens on. */
function urlsOf({ processes, values }: StackPlan): Record<string, string> {
  const used = new Set(processes.map((one) => one.port));
  return Object.fromEntries(Object.entries(values.urls).filter(([name]) => used.has(values.ports[name] ?? -1)));
}
