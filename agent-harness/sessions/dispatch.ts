import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { asHarnessError } from "../shared/errors.ts";
import { type Progress, silent } from "../shared/progress.ts";
import { cleanUp } from "./dispatch/cleanup.ts";
import { failureOf, type HarnessClient } from "./dispatch/client.ts";
import { openErrorLog } from "./dispatch/error-log.ts";
import { takeHint } from "./dispatch/hint.ts";
import type { DispatchRequest } from "./dispatch/inputs.ts";
import { endLeftovers } from "./dispatch/leftovers.ts";
import { lookAtAll } from "./dispatch/look.ts";
import { ensureProject } from "./dispatch/project.ts";
import { openNoRecord, type RunRecord } from "./dispatch/record.ts";
import { maxRetries } from "./dispatch/recovery.ts";
import { type DispatchReport, isMet, reportOf } from "./dispatch/report.ts";
import { newDispatched, type Pace, type Run, usualPace } from "./dispatch/run.ts";
import { openWatches, work } from "./dispatch/work.ts";

/** Where the server can post that an agent has come to rest. */
export interface HintSource {
  callback: { url: string; token: string };
  /** Whoever is told of the agent that a hint is about. */
  listen(take: (hint: { project: string; agentId: string }) => void): void;
}

export interface DispatchOptions {
  client: HarnessClient;
  progress?: Progress;
  hints?: HintSource | undefined;
  /** What an earlier process of the same run has left. */
  record?: RunRecord;
  /** Aborted when somebody wants to have done: agents are told to end their turn, and the report is made. */
  interrupted?: AbortSignal;
  /** Aborted when somebody will not even wait for that. */
  hurried?: AbortSignal;
  /** Aborted when the time is over, though the limit may not have passed. */
  late?: AbortSignal;
  pace?: Partial<Pace>;
}

/**
 * Runs a task on one agent, or on several at once, and gives the report, whatever happens: what went wrong is in it. Agents
 * that failed are kept, with the command to attach to them.
 */
export async function dispatch(request: DispatchRequest, options: DispatchOptions): Promise<DispatchReport> {
  const start = new Date();
  const errors = openErrorLog();
  const run = openRun(request, options, errors);
  const interrupt = (): void => run.stop("interrupted");
  options.interrupted?.addEventListener("abort", interrupt);
  if (options.interrupted?.aborted) interrupt();
  const timeout = (): void => run.stop("timeout");
  options.late?.addEventListener("abort", timeout, { once: true });
  const limit = setTimeout(timeout, request.timeouts.completionTimeoutMs);
  try {
    await Promise.race([flow(run), aborted(options.hurried)]);
  } catch (error) {
    const { code, message, hint } = failureOf(error) ?? asHarnessError(error);
    errors.noteOnce({ doing: "dispatch the task", code, message, hint });
    run.stop("crashed");
  } finally {
    clearTimeout(limit);
    options.interrupted?.removeEventListener("abort", interrupt);
  }
  return reportOf(run, errors.all, start);
}

function openRun(request: DispatchRequest, options: DispatchOptions, errors: ReturnType<typeof openErrorLog>): Run {
  const { client, progress = silent, hints, record = openNoRecord() } = options;
  const stopped = new AbortController();
  // Each agent waits for it, more than once.
  setMaxListeners(0, stopped.signal);
  const pace = { ...usualPace, ...options.pace };
  const run: Run = {
    client,
    request,
    progress,
    pace,
    recovery: { client, errors, backoffMs: pace.backoffMs, signal: stopped.signal },
    record,
    project: undefined,
    agents: [],
    stopReason: undefined,
    stopped: stopped.signal,
    callback: hints?.callback,
    stop: (reason) => {
      run.stopReason ??= reason;
      stopped.abort();
    },
    crash: (error) => {
      const { code, message } = asHarnessError(error);
      errors.noteOnce({ doing: "dispatch the task", code, message });
      run.stop("crashed");
    },
  };
  hints?.listen((hint) => void takeHint(run, hint).catch(run.crash));
  return run;
}

/** Flows A and B: they differ in what is followed, and in how many agents there are. */
async function flow(run: Run): Promise<void> {
  const { request } = run;
  if (run.stopped.aborted) return;
  run.project = await Promise.race([ensureProject(run), aborted(run.stopped)]);
  if (run.project === undefined) return;
  const retries = (): { left: number } => ({ left: maxRetries.createAgent });
  run.agents = Array.from({ length: request.count }, (_, at) => newDispatched(at + 1, retries()));
  await using watches = openWatches(run);
  const polling = new AbortController();
  const polled = poll(run, polling.signal);
  try {
    await Promise.all(run.agents.map((agent) => work(run, agent, watches)));
    await endLeftovers(run);
    await cleanUp(run, isMet(run));
  } finally {
    polling.abort();
    await polled;
  }
}

/** Looks at every agent from time to time: with no stream and no webhook a run still comes to its end. */
async function poll(run: Run, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await delay(run.pace.pollMs, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) lookAtAll(run);
  }
}

/** Resolves when the signal is aborted; never without one. */
const aborted = (signal: AbortSignal | undefined): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal?.aborted) resolve(undefined);
    signal?.addEventListener("abort", () => resolve(undefined), { once: true });
  });
