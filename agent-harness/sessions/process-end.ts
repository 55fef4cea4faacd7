import { setTimeout as delay } from "node:timers/promises";
import { asHarnessError, HarnessError } from "../shared/errors.ts";
import { keeperVariable, sessionFolderVariable } from "../shared/names.ts";
import { findMarked, isRunning, killAll, listProcesses, type ProcessInfo, treeOf } from "../shared/process-tree.ts";
import { connectKeeper } from "./keeper-client.ts";
import { findKeeper, type SessionFolder } from "./session-folder.ts";

/*
 * The end of all that a session started. Coding agents start commands in sessions of their own, so no signal to a process
 * group reaches them: what is ended is everything below the program, everything that carries the session's mark, and
 * everything in a process group of one of these, looked for again until nothing is left.
 */

/** What is to be ended. */
export interface SessionProcesses {
  /** The session's folder, which all that it starts has in the environment. */
  folder: string;
  /** Processes that are known to be the session's, and whose pids cannot have become another's. */
  roots?: readonly number[];
  /** Processes that stay, whatever they carry. */
  except?: readonly number[];
}

/** How often what is left is looked for again, so that nothing escapes by starting another while it is ended. */
const rounds = 10;
const usualGraceMs = 3000;

/** Ends all processes of a session: SIGTERM, and SIGKILL for what still runs after the grace. Throws SURVIVORS for what cannot be ended. */
export async function endProcesses(what: SessionProcesses, { graceMs = usualGraceMs } = {}): Promise<void> {
  const known = await findProcesses(what, []);
  await killAll(known, { graceMs });
  for (let round = 0; round < rounds; round += 1) {
    const left = await findProcesses(what, known);
    if (left.length === 0) return;
    await killAll(left, { graceMs: 0 });
    known.push(...left);
    await gone(left);
  }
  const left = await findProcesses(what, known);
  if (left.length === 0) return;
  const names = left.map(({ pid, command }) => `${pid} (${command.slice(0, 80)})`).join(", ");
  throw new HarnessError("SURVIVORS", `Processes of the session in ${what.folder} could not be ended: ${names}.`, {
    hint: `Look at them with: ps -fp ${left.map(({ pid }) => pid).join(",")}`,
    leftBehind: names,
    context: { pids: left.map(({ pid }) => pid) },
  });
}

/** Every process of a session that runs now. `known` are ones seen before: what they started meanwhile is the session's too. */
export async function findProcesses(
  what: SessionProcesses,
  known: readonly ProcessInfo[] = [],
): Promise<ProcessInfo[]> {
  const marked = await findMarked(sessionFolderVariable, what.folder);
  // The usual case at the end of a program; a look at all processes takes its time.
  if (marked.length === 0 && known.length === 0 && (what.roots ?? []).length === 0) return [];
  const all = await listProcesses();
  const stays = new Set([process.pid, ...(what.except ?? [])]);
  const spared = new Set(all.filter((one) => stays.has(one.pid)).map((one) => one.group));
  const roots = new Set([...(what.roots ?? []), ...marked.map((one) => one.pid)]);
  const isKnown = (one: ProcessInfo): boolean =>
    known.some((old) => old.pid === one.pid && old.started === one.started);
  const groups = new Set([...(what.roots ?? []), ...known.map((one) => one.group), ...marked.map((one) => one.group)]);
  const found = new Map<number, ProcessInfo>();
  for (const one of all) {
    const ours = roots.has(one.pid) || isKnown(one) || (groups.has(one.group) && !spared.has(one.group));
    if (ours && !stays.has(one.pid)) for (const below of treeOf(one.pid, all)) found.set(below.pid, below);
  }
  return [...found.values()].filter((one) => !stays.has(one.pid) && isRunning(one.pid));
}

/** SIGKILL is done when the kernel has done it. */
async function gone(killed: readonly ProcessInfo[]): Promise<void> {
  const end = Date.now() + 2000;
  while (killed.some((one) => isRunning(one.pid)) && Date.now() < end) await delay(10);
}

/** How much longer than the grace a keeper may take for the end of its session, in ms. */
const keeperLimitMs = 10_000;

/** Ends a session: by its keeper, which says how the program ended, else without one. Afterwards nothing of it runs. */
export async function endSession(place: SessionFolder, { graceMs = usualGraceMs } = {}): Promise<void> {
  const keeper = await findKeeper(place);
  if (keeper !== undefined) {
    await Promise.race([
      askKeeper(place, keeper.pid, graceMs),
      delay(graceMs + keeperLimitMs, undefined, { ref: false }),
    ]);
  }
  // One that does not listen, or did not come to an end, or was started meanwhile.
  const keepers = await findMarked(keeperVariable, place.folder);
  await killAll(keepers, { graceMs: 0 });
  await endProcesses({ folder: place.folder }, { graceMs });
}

async function askKeeper(place: SessionFolder, pid: number, graceMs: number): Promise<void> {
  try {
    await using client = await connectKeeper(place.socket);
    await client.end({ graceMs });
  } catch (error) {
    // Whatever it cannot do is done without it.
    if (!["KEEPER_GONE", "KEEPER_FAILED"].includes(asHarnessError(error).code)) throw error;
  }
  // It still has to write down that the program ended.
  const end = Date.now() + keeperLimitMs;
  while (isRunning(pid) && Date.now() < end) await delay(10);
}
