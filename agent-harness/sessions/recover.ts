import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { HomePaths } from "../shared/paths.ts";
import { startTimeOf } from "../shared/process-tree.ts";
import { ensureSecret } from "../shared/secret-file.ts";
import { type Context, placeOf } from "./context.ts";
import { memoryOf } from "./draft.ts";
import { hasLeftovers } from "./losses.ts";
import { findKeeper } from "./session-folder.ts";

/*
 * Which daemon looks after which session. A lease that is not renewed ends by itself; one whose daemon is seen to be dead on
 * this machine is ended at once, so that a restart goes on where it stopped without a wait. Several homes, on machines of
 * their own, may share a store; a session's keeper and journal are in one of them, and only that one's daemons take it.
 */

/** What a home is called in the store. Kept in a file, so that the machine may get another name. */
export const homeName = ({ home, homeName: path }: Pick<HomePaths, "home" | "homeName">): Promise<string> =>
  ensureSecret(path, () => `${hostname()}:${home}`);

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
export async function takeFree({ store, owner, home, settings }: Context): Promise<string[]> {
  for (const other of await store.leases.owners({ home })) {
    if (other !== owner && (await isDead(other))) await store.leases.release(other);
  }
  return await store.leases.claimFree(owner, settings.limits.leaseMs, { except: ["exited"], home });
}

/**
 * The same for sessions that have ended while something is still to be done about them: their program goes on, they are to be
 * deleted, something was not told.
 */
export async function takeLingering(context: Context): Promise<string[]> {
  const { store, owner, home } = context;
  const { leaseMs } = context.settings.limits;
  const taken: string[] = [];
  for (const row of await store.sessions.list()) {
    if (row.status !== "exited" || row.leaseOwner !== undefined || row.home !== home) continue;
    const { deleting, finalizing, sweepFrom } = memoryOf(row);
    const isOwed = deleting === true || finalizing !== undefined || sweepFrom !== undefined;
    if (
      !isOwed &&
      !hasLeftovers({ memory: memoryOf(row) }) &&
      (await findKeeper(placeOf(context, row.id))) === undefined
    )
      continue;
    if (await store.leases.claim(row.id, owner, leaseMs, { home })) taken.push(row.id);
  }
  return taken;
}
