import { lockHolder } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import { findProcesses, type ProcessStatus } from "../shared/processes.ts";
import { processHealth } from "./health.ts";
import { type LedgerProcess, readLedger } from "./ledger.ts";
import { type RegistryEntry, stackLock } from "./registry.ts";

/** One process as `status` shows it. */
export interface StackProcessStatus {
  process: string;
  status: string;
  healthy: boolean;
  /** Why it is not healthy. */
  reason?: string;
  pid?: number;
  port?: number;
  restarts: number;
  upMs?: number;
}

/** One stack as `status` shows it. */
export interface StackStatus {
  id: number;
  project: string;
  workdir: string;
  /** `ready` is asked now, not remembered: every process runs and is healthy. */
  status: "ready" | "unhealthy" | "launching" | "failed" | "tearing-down" | "no-ledger";
  urls: Record<string, string>;
  processes: StackProcessStatus[];
  /** The process that is working on this stack now. */
  busyPid?: number;
}

/** The state of stacks, asked now. */
export async function stackStatus(paths: HomePaths, claims: readonly RegistryEntry[]): Promise<StackStatus[]> {
  const pm2 = await findProcesses(paths.pm2);
  await using open = pm2;
  const running = (await open?.list()) ?? [];
  return await Promise.all(claims.map((claim) => statusOf(paths, claim, running)));
}

async function statusOf(
  paths: HomePaths,
  claim: RegistryEntry,
  running: readonly ProcessStatus[],
): Promise<StackStatus> {
  const { id, project, workdir } = claim;
  const found = await readLedger(paths, id);
  if (found === undefined || "corrupt" in found)
    return { id, project, workdir, status: "no-ledger", urls: {}, processes: [] };
  const { ledger } = found;
  const processes = await Promise.all(
    ledger.processes.map((one) =>
      processStatus(
        one,
        running.find((other) => other.name === one.name),
      ),
    ),
  );
  const busy = await lockHolder(stackLock(paths, id));
  const unwell = ledger.status === "ready" && processes.some((one) => !one.healthy);
  return {
    id,
    project,
    workdir,
    status: unwell ? "unhealthy" : ledger.status,
    urls: ledger.urls,
    processes,
    ...(busy === undefined ? {} : { busyPid: busy.pid }),
  };
}

async function processStatus(process: LedgerProcess, status: ProcessStatus | undefined): Promise<StackProcessStatus> {
  const reason = await processHealth(process, status);
  return {
    process: process.process,
    status: status?.status ?? "not running",
    healthy: reason === undefined,
    ...(reason === undefined ? {} : { reason }),
    ...(status?.pid === undefined ? {} : { pid: status.pid, upMs: Date.now() - status.startedAt }),
    ...(process.port === undefined ? {} : { port: process.port }),
    restarts: status?.restarts ?? 0,
  };
}
