import { withLock } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Progress } from "../shared/progress.ts";
import { stackLock } from "./registry.ts";

/** Runs `work` while no other command works on the stack of this agent; says for whom it waits. */
export async function withStackLock<T>(
  paths: HomePaths,
  id: number,
  progress: Progress,
  work: () => Promise<T>,
): Promise<T> {
  return await withLock(
    stackLock(paths, id),
    {
      doing: `working on the stack of agent ${id}`,
      timeoutMs: 180_000,
      onWait: (holder) => progress({ type: "note", text: `Waiting for pid ${holder.pid}: ${holder.doing}.` }),
    },
    work,
  );
}
