import { setTimeout as delay } from "node:timers/promises";
import { lockHolder } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import { sampleUsage, type TreeUsage, treeUsage } from "../shared/process-usage.ts";
import { findProcesses, type ProcessStatus } from "../shared/processes.ts";
import { sideBySide } from "../shared/side-by-side.ts";
import { learnMemory } from "./admission/estimates.ts";
import { type GitState, gitState } from "./git-state.ts";
import { processHealth } from "./health.ts";
import { findVerdict, type LastVerify } from "./last-verify.ts";
import { type Ledger, type LedgerProcess, readLedger } from "./ledger.ts";
import { type RegistryEntry, stackLock } from "./registry.ts";
import { usageWindowMs } from "./stats.ts";

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
  status: "ready" | "unhealthy" | "launching" | "failed" | "tearing-down" | "stopped" | "no-ledger";
  /** Why its processes were stopped, and when. */
  stopped?: { at: string; reason: string };
  /** When it will be torn down, and for how long it may be unused before it is stopped. */
  expiresAt?: string;
  idleMs?: number;
  urls: Record<string, string>;
  processes: StackProcessStatus[];
  /** The process that is working on this stack now, and its own words for what it does. */
  busyPid?: number;
  busy?: string;
  /** The last verdict of verify. */
  verify?: LastVerify;
  /** What git says of the working directory. */
  git?: GitState;
  /** CPU and memory of all that its processes started. */
  usage?: TreeUsage;
}

/** What is known of a stack from places that are asked one by one. */
export interface StackFacts {
  processes?: StackProcessStatus[];
  busy?: { pid: number; doing: string } | undefined;
  verify?: LastVerify | undefined;
  git?: GitState | undefined;
  usage?: TreeUsage | undefined;
}

/** Puts together what `status` shows of a stack. */
export function describeStack(claim: RegistryEntry, ledger: Ledger | undefined, facts: StackFacts): StackStatus {
  const { id, project, workdir } = claim;
  if (ledger === undefined) return { id, project, workdir, status: "no-ledger", urls: {}, processes: [] };
  const { processes = [], busy, verify, git, usage } = facts;
  const unwell = ledger.status === "ready" && processes.some((one) => !one.healthy);
  return {
    id,
    project,
    workdir,
    status: unwell ? "unhealthy" : ledger.status,
    ...(ledger.stopped === undefined ? {} : { stopped: ledger.stopped }),
    ...(ledger.expiresAt === undefined ? {} : { expiresAt: ledger.expiresAt }),
    ...(ledger.idleMs === undefined ? {} : { idleMs: ledger.idleMs }),
    urls: ledger.urls,
    processes,
    ...(busy === undefined ? {} : { busyPid: busy.pid, busy: busy.doing }),
    ...(verify === undefined ? {} : { verify }),
    ...(git === undefined ? {} : { git }),
    ...(usage === undefined ? {} : { usage }),
  };
}

/** The state of stacks, asked now; with `inFull` also git's, and the CPU of a quarter of a second. */
export async function stackStatus(
  paths: HomePaths,
  claims: readonly RegistryEntry[],
  { inFull = false }: { inFull?: boolean } = {},
): Promise<StackStatus[]> {
  const pm2 = await findProcesses(paths.pm2);
  await using open = pm2;
  const running = (await open?.list()) ?? [];
  const before = inFull ? await sampleUsage() : undefined;
  const [git, stacks] = await Promise.all([
    inFull ? gitStates(claims) : new Map<string, GitState | undefined>(),
    Promise.all(claims.map((claim) => askStack(paths, claim, running))),
    inFull ? delay(usageWindowMs) : undefined,
  ]);
  const after = inFull ? await sampleUsage() : undefined;
  const well = stacks.flatMap(({ ledger }) => (ledger?.status === "ready" ? [ledger] : []));
  await learnMemory(paths, running, well);
  return stacks.map(({ claim, ledger, facts }) => {
    const roots = facts.processes?.flatMap((one) => one.pid ?? []) ?? [];
    const usage = after && treeUsage(roots, after, before);
    return describeStack(claim, ledger, { ...facts, usage, git: git.get(claim.workdir) });
  });
}

async function gitStates(claims: readonly RegistryEntry[]): Promise<Map<string, GitState | undefined>> {
  const folders = [...new Set(claims.map((one) => one.workdir))];
  return new Map(await sideBySide(folders, 4, async (folder) => [folder, await gitState(folder)] as const));
}

async function askStack(
  paths: HomePaths,
  claim: RegistryEntry,
  running: readonly ProcessStatus[],
): Promise<{ claim: RegistryEntry; ledger: Ledger | undefined; facts: StackFacts }> {
  const found = await readLedger(paths, claim.id);
  if (found === undefined || "corrupt" in found) return { claim, ledger: undefined, facts: {} };
  const { ledger } = found;
  const [busy, verify, processes] = await Promise.all([
    lockHolder(stackLock(paths, claim.id)),
    findVerdict(paths, claim.id),
    Promise.all(
      ledger.processes.map(async (one) => {
        const status = running.find((other) => other.name === one.name);
        return describeProcess(one, status, await processHealth(one, status));
      }),
    ),
  ]);
  return { claim, ledger, facts: { processes, busy, verify } };
}

/** Puts together what `status` shows of a process; `reason` is why it is not healthy. */
export function describeProcess(
  process: LedgerProcess,
  status: ProcessStatus | undefined,
  reason: string | undefined,
): StackProcessStatus {
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
