import { endTurn, nudge, remove, removeUnlessAtRest } from "./end.ts";
import { look } from "./look.ts";
import { type Dispatched, isOver, type Run } from "./run.ts";
import { settle } from "./work.ts";

/** Ends the parts of a run that were still under way when it was stopped, by why it was. */
export async function endLeftovers(run: Run): Promise<void> {
  const left = run.agents.filter(({ outcome }) => outcome === undefined);
  await Promise.all(left.map((agent) => endOne(run, agent)));
}

async function endOne(run: Run, agent: Dispatched): Promise<void> {
  await find(run, agent);
  if (agent.id === undefined) return await settle(run, agent, "aborted", "the run ended before it was created");
  if (run.stopReason === "met") await endLoser(run, agent);
  else if (run.stopReason === "timeout") await endLate(run, agent);
  else await leave(run, agent);
}

/** An agent whose creation was under way is found by its name. */
async function find(run: Run, agent: Dispatched): Promise<void> {
  if (agent.id !== undefined || agent.name === undefined) return;
  agent.id = agent.name;
  await look(run, agent);
  if (agent.gone) agent.id = undefined;
}

/** Another agent was first: its turn is ended, and after the grace it is deleted. */
async function endLoser(run: Run, agent: Dispatched): Promise<void> {
  const failed = isOver(agent) && agent.status !== "idle";
  await endTurn(run, agent);
  if (failed) return await settle(run, agent, "failed", undefined);
  await settle(run, agent, "aborted", "another agent succeeded first");
  if (agent.id !== undefined && !agent.gone) agent.deleted = await remove(run, agent.id);
}

/** Its time is over: its turn is ended, unless the workflow has more to say to it. */
async function endLate(run: Run, agent: Dispatched): Promise<void> {
  const { expectsInput, nudge: text, timeouts } = run.request;
  const why = `still ${agent.status} after ${timeouts.completionTimeoutMs} ms`;
  if (!expectsInput) {
    await endTurn(run, agent);
    await settle(run, agent, "timed_out", why);
    return await removeUnlessAtRest(run, agent);
  }
  if (text !== undefined) await nudge(run, agent, text);
  if (agent.atRest && agent.status === "idle") return await settle(run, agent, "succeeded", undefined);
  await settle(run, agent, "timed_out", `${why}; it goes on`);
}

/** Somebody wants to have done: its turn is ended, but it stays. */
async function leave(run: Run, agent: Dispatched): Promise<void> {
  if (!run.request.expectsInput) await endTurn(run, agent);
  await settle(run, agent, "aborted", "the run was interrupted");
}
