import { setTimeout as delay } from "node:timers/promises";
import pidusage from "pidusage";
import type { HomePaths } from "../shared/paths.ts";
import { listProcesses, treeOf } from "../shared/process-tree.ts";
import { findProcesses } from "../shared/processes.ts";
import type { Ledger } from "./ledger.ts";

/** What one process of a stack uses, with everything that it started. */
export interface ProcessStats {
  process: string;
  /** How many processes of the system it is. */
  count: number;
  /** Percent of one core, over the sampling window. */
  cpu: number;
  memoryBytes: number;
}

/** How long the CPU is watched, in ms. */
const windowMs = 250;

/** CPU and memory of each process of a stack, summed over its whole tree. */
export async function stackStats(paths: HomePaths, ledger: Ledger): Promise<ProcessStats[]> {
  const pm2 = await findProcesses(paths.pm2);
  await using open = pm2;
  const running = (await open?.list()) ?? [];
  const all = await listProcesses();
  const trees = ledger.processes.map(({ process, name }) => {
    const pid = running.find((one) => one.name === name)?.pid;
    return { process, pids: pid === undefined ? [] : treeOf(pid, all).map((one) => one.pid) };
  });
  const usage = await sample(trees.flatMap((tree) => tree.pids));
  return trees.map(({ process, pids }) => {
    const known = pids.flatMap((pid) => usage[pid] ?? []);
    return {
      process,
      count: known.length,
      cpu: Math.round(known.reduce((sum, one) => sum + one.cpu, 0) * 10) / 10,
      memoryBytes: known.reduce((sum, one) => sum + one.memory, 0),
    };
  });
}

/** pidusage gives the CPU since its last look: the first one starts the window. */
async function sample(pids: readonly number[]): Promise<Record<number, { cpu: number; memory: number }>> {
  if (pids.length === 0) return {};
  const first = await pidusage([...pids]);
  await delay(windowMs);
  // One that ended meanwhile would make pidusage fail for all.
  const alive = (await listProcesses()).map((one) => one.pid).filter((pid) => first[pid] !== undefined);
  return alive.length === 0 ? {} : await pidusage(alive);
}
