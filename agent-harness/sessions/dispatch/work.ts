import { type Failure, failureOf } from "./client.ts";
import { endTurn, remove, removeUnlessAtRest } from "./end.ts";
import { hear, look, lookAtAll, see } from "./look.ts";
import { agentUntil, type Dispatched, isOver, type Outcome, type Run, unseen } from "./run.ts";
import { nameFor, type Spawned, spawn } from "./spawn.ts";
import { missing, summarize } from "./summary.ts";
import { placeOf } from "./take-up.ts";
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
  const place = await takeUp(run, agent);
  if (place === undefined) return;
  if (place.there !== undefined) await begin(run, agent, place.there, watches);
  else if (!(await start(run, agent, watches))) return;
  for (;;) {
    const stuck = await waitForBegin(run, agent);
    if (stuck === undefined) break;
    if (run.stopped.aborted) return;
    if (agent.attempt === maxAttempts || !(await replace(run, agent, stuck))) return await endStuck(run, agent, stuck);
    agent.attempt += 1;
    if (!(await start(run, agent, watches))) return;
  }
  await agentUntil(agent, () => isOver(agent), { signal: run.stopped });
  if (!isOver(agent)) return;
  if (agent.lost !== undefined) return await settle(run, agent, "failed", agent.lost);
  if (agent.gone)
    return await settle(run, agent, "failed", "deleted by somebody else, perhaps in the middle of its work");
  await settle(run, agent, agent.status === "idle" ? "succeeded" : "failed", undefined);
}

/** Goes on where an earlier process of the same run was; undefined when that is the end of it, or the run is stopped. */
async function takeUp(run: Run, agent: Dispatched): Promise<{ there: Spawned | undefined } | undefined> {
  const found = await unlessStopped(run, placeOf(run, agent, maxAttempts));
  if (found === undefined) return undefined;
  if ("failure" in found) {
    const { code, message } = found.failure;
    return void (await settle(run, agent, "failed", `whether it was started is not known: ${code}: ${message}`));
  }
  const { attempt, there, lost } = found.result;
  agent.attempt = attempt;
  agent.name = nameFor(run, agent);
  for (let before = 1; before < attempt; before += 1) agent.replaces.push(nameFor(run, { ...agent, attempt: before }));
  if (lost === "gone") {
    Object.assign(agent, { id: agent.name, gone: true });
    const why = "it is gone, and may have done its task before; to have that done again, give another --run-id";
    return void (await settle(run, agent, "failed", why));
  }
  if (lost !== "stuck" || there === undefined) return { there };
  see(run, agent, there.agent);
  const why = "still starting when this run was stopped";
  if (!(await replace(run, agent, why))) return void (await endStuck(run, agent, why));
  agent.attempt += 1;
  return { there: undefined };
}

/** Creates the agent; false when there is none, which is then its outcome. */
async function start(run: Run, agent: Dispatched, watches: Watches): Promise<boolean> {
  const created = await unlessStopped(run, spawn(run, agent));
  // The request is under way; whoever ends the run looks for the agent by its name.
  if (created === undefined) return false;
  if ("failure" in created) {
    const { failure } = created;
    run.recovery.errors.noteOnce({ doing: `create agent ${agent.number}`, ...failure });
    await settle(run, agent, "failed", `${failure.code}: ${failure.message}`);
    return false;
  }
  await begin(run, agent, created.result, watches);
  return true;
}

async function begin(run: Run, agent: Dispatched, { agent: view, lastEventId }: Spawned, watches: Watches) {
  await run.record.note(nameFor(run, agent), { lastEventId });
  see(run, agent, view);
  // What the creation says may be old: the answer to a repeated request is the first one's.
  agent.atRest = false;
  agent.lastEventId = lastEventId;
  await watches.include(agent, lastEventId);
  await look(run, agent);
}

/** What came of requests; undefined when the run was stopped meanwhile, and they had the grace to end. */
async function unlessStopped<T>(run: Run, work: Promise<T>): Promise<{ result: T } | { failure: Failure } | undefined> {
  const ended = work.then(
    (result) => ({ result }),
    (error: unknown) => {
      const failure = failureOf(error);
      if (failure === undefined) throw error;
      return { failure };
    },
  );
  return await Promise.race([ended, afterStop(run)]);
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
  // First: who takes this run up when it is killed between the two has to know that one attempt was made.
  const name = nameFor(run, agent);
  await run.record.note(name, { ...run.record.knew(name), replaced: true });
  if (!agent.gone && !(await remove(run, id))) return false;
  agent.replaces.push(id);
  Object.assign(agent, unseen());
  return true;
}

/** The end of an agent's part: its outcome, and what it said last. */
export async function settle(run: Run, agent: Dispatched, outcome: Outcome, reason: string | undefined): Promise<void> {
  agent.summary = agent.gone ? missing(["it is not there any more"]) : await summarize(run, agent);
  // An event may tell why while its last message is read.
  agent.reason = outcome === "succeeded" ? undefined : (reason ?? agent.reason ?? agent.errorMarker);
  agent.outcome = outcome;
  if (outcome === "succeeded" && run.request.completion === "any") run.stop("met");
}
