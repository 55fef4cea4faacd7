import { withLock } from "../shared/lock.ts";
import { silent } from "../shared/progress.ts";
import { clearStack } from "./clear.ts";
import { type LaunchOptions, type LaunchResult, launch, readyInfra } from "./launch.ts";
import { getLedger } from "./ledger.ts";
import { stackLock } from "./registry.ts";

/**
 * Gives a stack a fresh database, an empty bucket and no mails, and starts its processes anew. The old database is
 * renamed away in milliseconds and dropped after the launch has returned.
 */
export async function reset(options: LaunchOptions): Promise<LaunchResult> {
  const { project, id } = options;
  const progress = options.progress ?? silent;
  const infra = await readyInfra(project, progress);
  await withLock(
    stackLock(project.paths, id),
    { doing: `resetting the stack of agent ${id}`, timeoutMs: 180_000 },
    async () => await clearStack({ paths: project.paths, infra, ledger: await getLedger(project.paths, id), progress }),
  );
  return await launch(options);
}
