import { setTimeout as delay } from "node:timers/promises";
import type { HomePaths } from "../shared/paths.ts";
import { sampleUsage, treeUsage } from "../shared/process-usage.ts";
import { findProcesses } from "../shared/processes.ts";
import { learnMemory } from "./admission/estimates.ts";
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
export const usageWindowMs = 250;

/** CPU and memory of each process of a stack, summed over its whole tree. */
export async function stackStats(paths: HomePaths, ledger: Ledger): Promise<ProcessStats[]> {
  const pm2 = await findProcesses(paths.pm2);
  await using open = pm2;
  const running = (await open?.list()) ?? [];
  const before = await sampleUsage();
  await delay(usageWindowMs);
  const now = await sampleUsage();
  if (ledger.status === "ready") await learnMemory(paths, running, [ledger]);
  return ledger.processes.map(({ process, name }) => {
    const pid = running.find((one) => one.name === name)?.pid;
    const { count, memoryBytes, cpu = 0 } = treeUsage(pid === undefined ? [] : [pid], now, before);
    return { process, count, cpu, memoryBytes };
  });
}
