import { sharedFairly } from "../../shared/memory.ts";
import { idOfProcess } from "../../shared/names.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { sampleUsage, treePids, type UsageSample } from "../../shared/process-usage.ts";
import { findProcesses, type ProcessStatus } from "../../shared/processes.ts";

/** The memory of every stack that runs, by agent id: its processes and all below them, asked now. */
export async function measureStacks(paths: HomePaths): Promise<Map<number, number>> {
  const pm2 = await findProcesses(paths.pm2);
  await using open = pm2;
  return await memoryByStack((await open?.list()) ?? []);
}

/** The same, of processes that PM2 has told of already. */
export async function memoryByStack(all: readonly ProcessStatus[]): Promise<Map<number, number>> {
  const roots = new Map<number, number[]>();
  for (const { name, pid, status } of all) {
    const id = idOfProcess(name);
    if (id !== undefined && pid !== undefined && status === "online") roots.set(id, [...(roots.get(id) ?? []), pid]);
  }
  if (roots.size === 0) return new Map();
  const sample = await sampleUsage();
  const sums = [...roots].map(
    async ([id, pids]): Promise<[number, number]> => [id, await memoryOf(treePids(pids, sample), sample)],
  );
  return new Map(await Promise.all(sums));
}

/** What some processes of a sample use, with what they share counted once where the system tells (PSS), else resident. */
async function memoryOf(pids: readonly number[], { byPid }: UsageSample): Promise<number> {
  const each = pids.map(async (pid) => (await sharedFairly(pid)) ?? byPid.get(pid)?.memoryBytes ?? 0);
  return (await Promise.all(each)).reduce((sum, one) => sum + one, 0);
}
