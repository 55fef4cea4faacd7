import { setTimeout as delay } from "node:timers/promises";
import { HarnessError } from "../../shared/errors.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { isAlive } from "../../shared/process-tree.ts";
import { findProcesses, type ProcessStatus } from "../../shared/processes.ts";
import { processHealth } from "../health.ts";
import type { Ledger, LedgerProcess } from "../ledger.ts";
import { startAnew } from "../restart.ts";

/** How long a program may take to end of a connection that it lost, in ms: longer than Node takes to print a stack. */
const shockMs = 150;
/** How long a program may take to connect again, in ms. */
const recoverMs = 5000;

export interface ProcessWatch {
  /** Waits until what was well is well again, starts anew what is not, and returns the names of the latter. */
  recover: (snapshot: string) => Promise<string[]>;
}

interface Watched {
  process: LedgerProcess;
  pid: number;
  restarts: number;
}

/** Remembers which processes of a stack are well, before their connections to the database are ended. */
export async function watchProcesses(paths: HomePaths, ledger: Ledger): Promise<ProcessWatch> {
  const before = await list(paths);
  const well: Watched[] = [];
  for (const process of ledger.processes) {
    const status = before.get(process.name);
    if (status?.pid === undefined || (await processHealth(process, status)) !== undefined) continue;
    well.push({ process, pid: status.pid, restarts: status.restarts });
  }
  return { recover: async (snapshot) => (well.length === 0 ? [] : await recover(paths, ledger, well, snapshot)) };
}

async function recover(
  paths: HomePaths,
  ledger: Ledger,
  well: readonly Watched[],
  snapshot: string,
): Promise<string[]> {
  await delay(shockMs);
  const unwell = await whoStaysUnwell(paths, well);
  if (unwell.length === 0) return [];
  try {
    return await startAnew(paths, ledger, unwell);
  } catch (cause) {
    if (!(cause instanceof HarnessError)) throw cause;
    const { code, message, hint, context } = cause;
    const leftBehind = `the snapshot ${JSON.stringify(snapshot)}, whole, and the stack, for inspection`;
    throw new HarnessError(code, message, { hint, leftBehind, context, cause });
  }
}

/** Those that ended, at once; those that run and do not answer, when they had their time. */
async function whoStaysUnwell(paths: HomePaths, well: readonly Watched[]): Promise<LedgerProcess[]> {
  const end = Date.now() + recoverMs;
  for (;;) {
    const now = await list(paths);
    const states = await Promise.all(well.map((one) => stateOf(one, now.get(one.process.name))));
    const waits = states.includes("unwell") && !states.includes("ended") && Date.now() < end;
    if (!waits) return well.filter((_, at) => states[at] !== "well").map((one) => one.process);
    await delay(20);
  }
}

async function stateOf(
  { process, pid, restarts }: Watched,
  status: ProcessStatus | undefined,
): Promise<"well" | "unwell" | "ended"> {
  if (status?.pid !== pid || status.restarts !== restarts || !isAlive(pid)) return "ended";
  return (await processHealth(process, status)) === undefined ? "well" : "unwell";
}

async function list(paths: HomePaths): Promise<Map<string, ProcessStatus>> {
  await using pm2 = await findProcesses(paths.pm2);
  return new Map(((await pm2?.list()) ?? []).map((one) => [one.name, one]));
}
