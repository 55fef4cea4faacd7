import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { startTimeOf } from "../shared/process-tree.ts";
import { type Context, placeOf } from "./context.ts";
import { leaseOwners } from "./queries.ts";
import { findKeeper } from "./session-folder.ts";

/*
 * Which daemon looks after which session. A lease that is not renewed ends by itself; one whose daemon is seen to be dead on
 * this machine is ended at once, so that a restart goes on where it stopped without a wait.
 */

/** A name for this run of the daemon, which tells others on this machine whether it lives. */
export async function newOwner(): Promise<string> {
  const started = (await startTimeOf(process.pid)) ?? "";
  return [hostname(), process.pid, started.replaceAll(/\s+/g, "_"), randomBytes(4).toString("hex")].join("|");
}

async function isDead(owner: string): Promise<boolean> {
  const [host, pid, started] = owner.split("|");
  if (host !== hostname() || !/^\d+$/.test(pid ?? "")) return false;
  return (await startTimeOf(Number(pid)))?.replaceAll(/\s+/g, "_") !== started;
}

/** Takes the sessions that nobody looks after and returns their ids; those that have ended are left to rest. */
export async function takeFree({ store, owner, settings }: Context): Promise<string[]> {
  for (const other of await leaseOwners(store)) {
    if (other !== owner && (await isDead(other))) await store.leases.release(other);
  }
  return await store.leases.claimFree(owner, settings.limits.leaseMs, { except: ["exited"] });
}

/** The same for sessions that said that they are over while their program goes on; looked for once, when a daemon starts. */
export async function takeLingering(context: Context): Promise<string[]> {
  const { store, owner } = context;
  const { leaseMs } = context.settings.limits;
  const taken: string[] = [];
  for (const row of await store.sessions.list()) {
    if (row.status !== "exited" || row.leaseOwner !== undefined) continue;
    if ((await findKeeper(placeOf(context, row.id))) === undefined) continue;
    if (await store.leases.claim(row.id, owner, leaseMs)) taken.push(row.id);
  }
  return taken;
}
