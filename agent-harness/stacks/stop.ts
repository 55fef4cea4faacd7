import type { HomePaths } from "../shared/paths.ts";
import { type Progress, silent } from "../shared/progress.ts";
import { findLedger, type Ledger, writeLedger } from "./ledger.ts";
import { processes } from "./resources/processes.ts";
import { infraOf } from "./stack-infra.ts";
import { withStackLock } from "./stack-lock.ts";

export interface StopOptions {
  paths: HomePaths;
  id: number;
  env: Readonly<Record<string, string | undefined>>;
  /** Asked once nobody else works on the stack: why it is stopped, or undefined when it is not to be after all. */
  why: (ledger: Ledger) => Promise<string | undefined>;
  progress?: Progress;
}

/** Stops the processes of a stack and keeps its data; the next launch brings it back. Says why it did, or undefined. */
export async function stopStack({ paths, id, env, why, progress = silent }: StopOptions): Promise<string | undefined> {
  return await withStackLock(paths, id, progress, async () => {
    const ledger = await findLedger(paths, id);
    const reason = ledger === undefined ? undefined : await why(ledger);
    if (ledger === undefined || reason === undefined) return undefined;
    const infra = await infraOf(paths, ledger.configPath, env, progress);
    await processes.destroy({ paths, infra, ledger, progress });
    // Only now: killed before, the next look finds it as it was, and stops it again.
    ledger.status = "stopped";
    ledger.stopped = { at: new Date().toISOString(), reason };
    await writeLedger(paths, ledger);
    return reason;
  });
}
