import { failureOf } from "./client.ts";
import { endTurn, remove, removeUnlessAtRest } from "./end.ts";
import { hear, look, lookAtAll, see } from "./look.ts";
import { agentUntil, type Dispatched, isOver, type Outcome, type Run, unseen } from "./run.ts";
import { attemptUnderWay, nameFor, type Spawned, spawn } from "./spawn.ts";
import { missing, summarize } from "./summary.ts";
import { openWatch, type Watch } from "./watch.ts";

/** How often an agent is started: one that never begins is started a second time. */
const maxAttempts = 2;

/** The streams of a run: one for all agents, or of the only one's own. */
export interface Watches extends AsyncDisposable {
  /** An agent is there; the stream that tells of it is open from its creation on. */
  include(agent: Dispatched, since: number | undefined): Promise<void>;
}

/** Flow A follows its only agent, flow B the project. */
export function openWatches(run: Run): Watches {
  let watch: Watch | undefined;
  const alone = run.request.count === 1;
  return {
    include: async ({ id }, since) => {
      if (alone) await watch?.[Symbol.asyncDispose]();
      else if (watch !== undefined) return;
      watch = openWatch({
        run,
        agentId: alone ? id : undefined,
        since,
        onDoubt: () => lookAtAll(run),
        onEvent: (event) => {
          const agent = run.agents.find((one) => one.id !== undefined && one.id === event.agentId);
          if (agent !== undefined) hear(run, agent, event);
        },
      });
    },
    [Symbol.asyncDispose]: async () => await watch?.[Symbol.asyncDispose](),
  };
}

/** Sees one agent through, from its creation to its last message, or until the run is stopped. */
export async function work(run: Run, agent: Dispatched, watches: Watches): Promise<void> {
  await takeUp(run, agent);
  for (;;) {
    agent.attempt += 1;
    if (!(await start(run, agent, watches))) return;
    const stuck = await waitForBegin(run, agent);
    if (stuck === undefined) break;
    if (run.stopped.aborted) return;
    if (agent.attempt === maxAttempts || !(await replace(run, agent, stuck))) return await endStuck(run, agent, stuck);
  }
  await agentUntil(agent, () => isOver(agent), { signal: run.stopped });
  if (!isOver(agent)) return;
  if (agent.lost !== undefined) return await settle(run, agent, "failed", agent.lost);
  if (agent.gone)
    return await settle(run, agent, "failed", "deleted by somebody else, perhaps in the middle of its work");
  await settle(run, agent, agent.status === "idle" ? "succeeded" : "failed", undefined);
}

/** Goes on with the attempt that an earlier process of the same run had come to. */
async function takeUp(run: Run, agent: Dispatched): Promise<void> {
  const attempt = await Promise.race([attemptUnderWay(run, agent, maxAttempts), afterStop(run)]);
  for (let before = 1; before < (attempt ?? 1); before += 1) {
    agent.replaces.push(nameFor(run, { number: agent.number, attempt: before }));
    agent.attempt = before;
  }
}

/** Creates the agent; false when there is none, which is then its outcome. */
async function start(run: Run, agent: Dispatched, watches: Watches): Promise<boolean> {
  const creation = spawn(run, agent).then(
    (spawned) => ({ spawned }),
    (error: unknown) => ({ error }),
  );
  const result = await Promise.race([creation, afterStop(run)]);
  // The request is under way; whoever ends the run looks for the agent by its name.
  if (result === undefined) return false;
  if ("error" in result) {
    const failure = failureOf(result.error);
    if (failure === undefined) throw result.error;
    run.recovery.errors.noteOnce({ doing: `create agent ${agent.number}`, ...failure });
    await settle(run, agent, "failed", `${failure.code}: ${failure.message}`);
    return false;
  }
  await begin(run, agent, result.spawned, watches);
  return true;
}

async function begin(run: Run, agent: Dispatched, { agent: view, lastEventId }: Spawned, watches: Watches) {
  see(run, agent, view);
  // What the creation says may be old: the answer to a repeated request is the first one's.
  agent.atRest = false;
  agent.lastEventId = lastEventId;
  await watches.include(agent, lastEventId);
  await look(run, agent);
}

/** Resolves when the run was stopped and a request that was under way then has had the grace to end. */
async function afterStop({ stopped, request }: Run): Promise<undefined> {
  return await new Promise((resolve) => {
    const wait = (): void => void setTimeout(() => resolve(undefined), request.timeouts.idleGraceMs).unref();
    if (stopped.aborted) wait();
    else stopped.addEventListener("abort", wait, { once: true });
  });
}

/** Undefined once it works, else why it is taken for stuck. Only the server's own word counts: not its silence. */
async function waitForBegin(run: Run, agent: Dispatched): Promise<string | undefined> {
  const { spawnTimeoutMs } = run.request.timeouts;
  const begun = (): boolean => agent.began || agent.lost !== undefined;
  for (let limitMs = spawnTimeoutMs; ; limitMs = run.pace.pollMs) {
    const known = (): boolean => begun() || agent.gone;
    await agentUntil(agent, known, { limitMs, signal: run.stopped });
    if (run.stopped.aborted) return begun() ? undefined : "stopped";
    if (begun()) return undefined;
    const saw = await look(run, agent);
    if (begun()) return undefined;
    if (agent.gone) return "it was gone before it began";
    if (saw) return `still starting after ${spawnTimeoutMs} ms`;
  }
}

/** It was started often enough: what still might begin some time is ended. */
async function endStuck(run: Run, agent: Dispatched, why: string): Promise<void> {
  await endTurn(run, agent);
  await settle(run, agent, agent.gone ? "failed" : "timed_out", why);
  await removeUnlessAtRest(run, agent);
}

/** Deletes an agent that is stuck; false when that is not certain, since two must not do the same task. */
async function replace(run: Run, agent: Dispatched, why: string): Promise<boolean> {
  const { id = "", attachCommand, logPath } = agent;
  const where = [logPath && `log ${logPath}`, attachCommand].filter(Boolean).join(", ");
  const note = { doing: `start agent ${agent.number}`, agentId: id, code: "STUCK_STARTING" };
  run.recovery.errors.note({ ...note, message: `${id}: ${why}; deleted and started anew (${where})` });
  if (!agent.gone && !(await remove(run, id))) return false;
  agent.replaces.push(id);
  Object.assign(agent, unseen());
  return true;
}

/** The end of an agent's part: its outcome, and what it said last. */
export async function settle(run: Run, agent: Dispatched, outcome: Outcome, reason: string | undefined): Promise<void> {
  agent.summary = agent.gone ? missing(["it was deleted by somebody else"]) : await summarize(run, agent);
  // An event may tell why while its last message is read.
  agent.reason = outcome === "succeeded" ? undefined : (reason ?? agent.reason ?? agent.errorMarker);
  agent.outcome = outcome;
  if (outcome === "succeeded" && run.request.completion === "any") run.stop("met");
}
