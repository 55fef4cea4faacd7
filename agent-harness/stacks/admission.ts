import { setTimeout as delay } from "node:timers/promises";
import { HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { type Memory, machineMemory } from "../shared/memory.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Progress } from "../shared/progress.ts";
import { permitHolders, withPermit } from "../shared/semaphore.ts";
import { memoryReserve } from "../shared/settings.ts";
import { type Estimates, estimateOf, type ProjectKey, readEstimates } from "./admission/estimates.ts";
import { admissionLock, admissionQueue, listReservations, reserve } from "./admission/reservations.ts";
import { type Room, roomFor, type YoungStack } from "./admission/room.ts";
import { measureStacks } from "./admission/stack-memory.ts";
import { type Ledger, listLedgers } from "./ledger.ts";
import { lastUsed } from "./use.ts";

/** For how long after its launch a stack counts as one that still grows, in ms. */
const youngMs = 60_000;

/** How often one who waits looks again, in ms. */
const pollMs = 1000;

/** What to do when there is no room. */
export interface AdmissionWish {
  /** Wait for it: for so many ms, or for as long as it takes. */
  wait?: number | "long" | undefined;
  /** `false`: launch whatever the memory says. */
  admission?: boolean | undefined;
}

export interface AdmissionOptions extends AdmissionWish {
  paths: HomePaths;
  id: number;
  /** Whose stack it is. */
  key: ProjectKey;
  env: Readonly<Record<string, string | undefined>>;
  progress: Progress;
  /** Asked for the memory instead of the machine, in tests. */
  memory?: () => Promise<Memory>;
}

/**
 * Makes sure that one more stack fits into memory, and keeps the room for it until the answer is disposed of: at the end of
 * the launch. A stack that runs already is always let in. Throws MEMORY_SHORT, or waits behind those who asked before.
 */
export async function admit(options: AdmissionOptions): Promise<AsyncDisposable> {
  const { paths, id, wait } = options;
  if (options.admission === false) return await reserve(paths, id, estimateOf(await readEstimates(paths), options.key));
  // What becomes free is for those who wait for it.
  const before = await permitHolders(admissionQueue(paths));
  const answer = await tryReserve(options, before.length === 0);
  if ("reservation" in answer) return answer.reservation;
  if (wait === undefined) throw await memoryShort(options, answer, before.length);
  return await waitForRoom(options);
}

async function waitForRoom(options: AdmissionOptions): Promise<AsyncDisposable> {
  const { paths, id, wait, progress } = options;
  const signal = typeof wait === "number" ? AbortSignal.timeout(wait) : undefined;
  const note = (text: string): void => progress({ type: "note", text });
  const line = {
    permits: 1,
    doing: `launch of agent ${id}`,
    signal,
    onWait: (holders: readonly { pid: number; doing: string }[]) =>
      note(`Waiting for memory behind ${holders.map((one) => `pid ${one.pid} (${one.doing})`).join(", ")}.`),
  };
  return await withPermit(admissionQueue(paths), line, async () => {
    for (let told = false; ; told = true) {
      const answer = await tryReserve(options, true);
      if ("reservation" in answer) return answer.reservation;
      if (signal?.aborted === true) throw await memoryShort(options, answer, 0);
      if (!told) note(`Waiting for memory: ${shortText(options, answer.room)}`);
      await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
  });
}

/** Why there is no room. */
interface Refusal {
  room: Room;
  /** What each running stack uses. */
  used: ReadonlyMap<number, number>;
}

/** Takes the room when it is there; with `mayTake` false only for a stack that runs already. One after the other, on the machine. */
async function tryReserve(
  options: AdmissionOptions,
  mayTake: boolean,
): Promise<{ reservation: AsyncDisposable } | Refusal> {
  const { paths, id } = options;
  return await withLock(admissionLock(paths), { doing: "looking for free memory" }, async () => {
    const estimates = await readEstimates(paths);
    const estimate = estimateOf(estimates, options.key);
    const look = async (used: ReadonlyMap<number, number>): Promise<Room> => {
      const memory = await (options.memory ?? machineMemory)();
      const reserveBytes = memoryReserve(memory.totalBytes, options.env);
      const young = await youngStacks(options, estimates, used);
      return roomFor({ memory, reserveBytes, young, estimateBytes: estimate });
    };
    // Mostly there is room even when the young ones have taken nothing yet, and then nobody has to be measured.
    if (mayTake && (await look(new Map())).fits) return { reservation: await reserve(paths, id, estimate) };
    const used = await measureStacks(paths);
    const room = await look(used);
    const isIn = used.has(id) || (mayTake && room.fits);
    return isIn ? { reservation: await reserve(paths, id, estimate) } : { room, used };
  });
}

async function youngStacks(
  { paths, id }: AdmissionOptions,
  estimates: Estimates,
  used: ReadonlyMap<number, number>,
): Promise<YoungStack[]> {
  const launching = (await listReservations(paths)).map((one): [number, number] => [one.id, one.bytes]);
  const launched = (await listLedgers(paths))
    .filter(isYoung)
    .map((ledger): [number, number] => [ledger.id, estimateOf(estimates, ledger)]);
  const all = new Map([...launched, ...launching].filter(([other]) => other !== id));
  return [...all].map(([other, estimateBytes]) => ({ id: other, estimateBytes, usedBytes: used.get(other) ?? 0 }));
}

const isYoung = ({ status, updatedAt }: Ledger): boolean =>
  (status === "launching" || status === "ready") && Date.now() - Date.parse(updatedAt) < youngMs;

const megabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;

function shortText({ key }: AdmissionOptions, room: Room): string {
  const { estimateBytes, availableBytes, reserveBytes, promisedBytes, freeBytes } = room;
  const promised = promisedBytes === 0 ? "" : `, less ${megabytes(promisedBytes)} that stacks just launched will take`;
  const free = `${megabytes(availableBytes)} are available, less a reserve of ${megabytes(reserveBytes)}${promised}`;
  return `a stack of ${key.project} needs about ${megabytes(estimateBytes)}, and ${megabytes(Math.max(0, freeBytes))} are free (${free}).`;
}

async function memoryShort(options: AdmissionOptions, { room, used }: Refusal, waiting: number): Promise<HarnessError> {
  const { id, paths } = options;
  const most = [...used].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const users = most.map(([other, bytes]) => `agent ${other} (${megabytes(bytes)})`).join(", ");
  const queue =
    waiting === 0 ? "" : ` ${waiting} ${waiting === 1 ? "launch waits" : "launches wait"} for memory before it.`;
  const text = `Agent ${id} does not fit into memory: ${shortText(options, room)}${queue}`;
  const idlest = await findIdlest(paths, [...used.keys()]);
  const first = idlest === undefined ? "" : `Free some: agent-harness teardown ${idlest}. Or wait for it`;
  return new HarnessError("MEMORY_SHORT", users === "" ? text : `${text} Most is used by ${users}.`, {
    hint: `${first || "Wait for it"}: agent-harness launch ${id} --wait. Or go on anyway: --no-admission`,
    leftBehind: "nothing",
    context: { id, ...room, waiting, idlest, stacks: Object.fromEntries(most) },
  });
}

/** The stack that nobody has used for the longest time. */
async function findIdlest(paths: HomePaths, ids: readonly number[]): Promise<number | undefined> {
  const all = await Promise.all(ids.map(async (id) => ({ id, at: (await lastUsed(paths, id)) ?? 0 })));
  return all.sort((a, b) => a.at - b.at)[0]?.id;
}
