import { findMarked, killAll, listProcesses, treeOf } from "../../shared/process-tree.ts";

/** A variable in the environment of every service that we run; its value is the harness's home. */
export const serviceMark = "AGENT_HARNESS_INFRA";

/** How long a stray may take to end: Postgres writes a checkpoint. */
const graceMs = 10_000;

/**
 * Stops services of this home that no PM2 daemon looks after: one that was killed leaves them running, on our ports and
 * in our data. `kept` are the pids of those that PM2 does run. Returns how many processes there were.
 */
export async function stopStrays(home: string, kept: readonly number[]): Promise<number> {
  const marked = await findMarked(serviceMark, home);
  if (marked.length === 0) return 0;
  const all = await listProcesses();
  const safe = new Set(kept.flatMap((pid) => treeOf(pid, all)).map((one) => one.pid));
  const strays = marked.filter((one) => !safe.has(one.pid)).flatMap((one) => treeOf(one.pid, all));
  const trees = new Map(strays.map((one) => [one.pid, one]));
  await killAll([...trees.values()], { graceMs });
  return trees.size;
}
