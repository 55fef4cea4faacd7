import { setTimeout as delay } from "node:timers/promises";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { listeners } from "../shared/ports.ts";
import { listProcesses, treeOf } from "../shared/process-tree.ts";
import type { Processes, ProcessStatus } from "../shared/processes.ts";
import type { LedgerProcess } from "./ledger.ts";
import { lastLinesOf } from "./logs.ts";
import type { PlannedProcess } from "./plan.ts";
import { readApps } from "./process-file.ts";
import type { LaunchContext } from "./resource.ts";

/** How long one probe may take, in ms. */
const probeLimitMs = 5000;

/** Starts processes so that each comes after those it depends on are healthy; those without wait for nobody. */
export async function startInOrder(
  context: LaunchContext,
  pm2: Processes,
  processes: readonly PlannedProcess[],
): Promise<void> {
  let waiting = [...processes];
  const apps = await readApps(context.ledger);
  // Those that are not to be started run already.
  const started = new Set(context.plan.processes.filter((one) => !waiting.includes(one)).map((one) => one.name));
  while (waiting.length > 0) {
    const ready = waiting.filter((one) => one.dependsOn.every((name) => started.has(name)));
    const needed = context.plan.processes.filter((one) => ready.some((other) => other.dependsOn.includes(one.name)));
    await waitHealthy(needed, pm2, context, 0);
    await pm2.start(apps.filter((app) => ready.some((one) => one.spec.name === app.name)));
    for (const { name } of ready) started.add(name);
    waiting = waiting.filter((one) => !started.has(one.name));
  }
}

/** What has to be known of a process to wait for its health. */
type Watched = Pick<PlannedProcess, "name" | "port" | "health"> & {
  spec: Pick<PlannedProcess["spec"], "name" | "logFile">;
};

/**
 * Waits until every process is healthy. With a health check that means HTTP 200 from a listener of its own process tree;
 * without one, that it stayed up for `settleMs` from its start (PM2 shows a crash loop no sooner). A crash or the process's own
 * time limit is HEALTH_FAILED with its last log lines; all are left as they are for inspection.
 */
export async function waitHealthy(
  processes: readonly Watched[],
  pm2: Processes,
  { ledger }: Pick<LaunchContext, "ledger">,
  settleMs: number,
): Promise<void> {
  const start = Date.now();
  let waiting = [...processes];
  const unwell = new Map<string, string>();
  while (waiting.length > 0) {
    const all = new Map((await pm2.list()).map((one) => [one.name, one]));
    const verdicts = await Promise.all(waiting.map((one) => look(one, all.get(one.spec.name), settleMs)));
    const crashed = waiting.filter((_, index) => verdicts[index]?.crashed);
    for (const [index, one] of waiting.entries()) unwell.set(one.name, verdicts[index]?.reason ?? "");
    waiting = waiting.filter((_, index) => !verdicts[index]?.healthy);
    const late = waiting.filter((one) => Date.now() - start > (one.health?.timeoutMs ?? Number.POSITIVE_INFINITY));
    const [failed] = [...crashed, ...late];
    if (failed !== undefined) throw await unhealthy(failed, unwell.get(failed.name) ?? "", ledger.id);
    if (waiting.length > 0) await delay(15);
  }
}

interface Verdict {
  healthy: boolean;
  crashed: boolean;
  reason: string;
}

async function look(planned: Watched, status: ProcessStatus | undefined, settleMs: number): Promise<Verdict> {
  if (status === undefined) return { healthy: false, crashed: true, reason: "PM2 does not know it" };
  if (status.restarts > 0 || status.status === "errored" || status.status === "stopped") {
    return { healthy: false, crashed: true, reason: `it ended and was started again ${status.restarts} times` };
  }
  const pid = status.pid;
  if (status.status !== "online" || pid === undefined)
    return { healthy: false, crashed: false, reason: `it is ${status.status}` };
  if (planned.health === undefined || planned.port === undefined) {
    const upMs = Date.now() - status.startedAt;
    return { healthy: upMs >= settleMs, crashed: false, reason: `it is up for ${upMs} ms` };
  }
  const reason = await probe(planned.health.url, planned.port, pid);
  return { healthy: reason === undefined, crashed: false, reason: reason ?? "healthy" };
}

/** Asks a health URL once; undefined when all is well, else why not. `tree`: the pids below `pid`, where they are known. */
export async function probe(
  url: string,
  port: number,
  pid: number,
  tree?: readonly number[],
): Promise<string | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(probeLimitMs) });
    if (answer.status !== 200) return `${url} answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`;
    // Not read: it may be long, or never end.
    await answer.body?.cancel();
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return `${url} does not answer: ${errorNumber(cause) ?? errorText(cause)}`;
  }
  return (await isOwnListener(port, pid, tree)) ? undefined : `${url} is answered by a process of somebody else`;
}

/** Whether a process of this tree listens on the port: a healthy answer of somebody else's is none. */
async function isOwnListener(port: number, pid: number, known: readonly number[] = [pid]): Promise<boolean> {
  const isOne = async (pids: readonly number[]): Promise<boolean> =>
    (await listeners([port], pids)).some((one) => pids.includes(one.pid));
  // Those known are looked at first, since a list of all processes takes longer; what was started since is only in that.
  return (await isOne(known)) || (await isOne(treeOf(pid, await listProcesses()).map((one) => one.pid)));
}

async function unhealthy(failed: Watched, reason: string, id: number): Promise<HarnessError> {
  const { name, spec } = failed;
  const lines = await lastLines(spec.logFile, 20);
  return new HarnessError("HEALTH_FAILED", `${spec.name} is not healthy: ${reason}.\n${lines}`, {
    hint: `Look at it: agent-cli ${id} logs ${name}. Then run again: agent-harness launch ${id}`,
    leftBehind: `the whole stack, for inspection (agent-harness teardown ${id} takes it away)`,
    context: { process: name, log: spec.logFile },
  });
}

/** The last lines of a process's log; says so when there are none. */
async function lastLines(file: string, count: number): Promise<string> {
  return (await lastLinesOf(file, count)).join("\n").trimEnd() || "(it printed nothing)";
}

/** The health of one running process of a ledger, asked once. */
export async function processHealth(
  process: LedgerProcess,
  status: ProcessStatus | undefined,
  tree?: readonly number[],
): Promise<string | undefined> {
  if (status?.pid === undefined || status.status !== "online") return notRunning(status);
  if (process.healthUrl === undefined || process.port === undefined) return undefined;
  return await probe(process.healthUrl, process.port, status.pid, tree);
}

/**
 * The same without a connection to the process, for who looks again and again: whether it listens where its health would be
 * asked. A connection would count as use, and a stack that is to be stopped when nobody uses it would never be.
 */
export async function listeningHealth(
  { healthUrl, port }: LedgerProcess,
  status: ProcessStatus | undefined,
  tree: readonly number[],
): Promise<string | undefined> {
  if (status?.pid === undefined || status.status !== "online") return notRunning(status);
  if (healthUrl === undefined || port === undefined) return undefined;
  return (await isOwnListener(port, status.pid, tree)) ? undefined : `nothing of it listens on port ${port}`;
}

/** Why a process that does not run is not healthy; undefined for one that runs. */
export const notRunning = (status: ProcessStatus | undefined): string | undefined =>
  status?.pid !== undefined && status.status === "online" ? undefined : `it is ${status?.status ?? "not running"}`;
