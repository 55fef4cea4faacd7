import { failedWith, failureOf } from "./client.ts";
import { look } from "./look.ts";
import { maxRetries, withRecovery } from "./recovery.ts";
import { agentUntil, type Dispatched, isOver, projectOf, type Run } from "./run.ts";

/* How agents are ended that do not end by themselves. */

const goneCodes = ["AGENT_NOT_FOUND", "PROJECT_NOT_FOUND"];

/** Sends something to an agent that may be gone; true when it arrived, or the agent is not there any more. */
async function tryTo(
  run: Run,
  doing: string,
  agentId: string,
  send: (project: string) => Promise<void>,
  retries = { left: maxRetries.other as number },
): Promise<boolean> {
  try {
    const what = { doing, agentId, retries, expected: goneCodes };
    // A stop takes no time from what ends the agents: the retries count, not the run's own limit.
    const recovery = { ...run.recovery, signal: new AbortController().signal };
    await withRecovery(recovery, what, () => send(projectOf(run).name));
    return true;
  } catch (error) {
    if (failedWith(error, ...goneCodes)) return true;
    if (failureOf(error) === undefined) throw error;
    return false;
  }
}

/** Deletes an agent; true when it is not there any more. */
export const remove = (run: Run, id: string): Promise<boolean> =>
  tryTo(run, "delete it", id, (project) => run.client.deleteAgent(project, id));

/** Ends the turn of an agent and waits for it to come to rest, for at most the grace. */
export async function endTurn(run: Run, agent: Dispatched): Promise<void> {
  const { id } = agent;
  if (id === undefined || isOver(agent)) return;
  await tryTo(run, "abort it", id, (project) => run.client.abort(project, id));
  await atRestWithinGrace(run, agent);
}

/** Gives an agent one more input and waits for it to come to rest, for at most the grace. */
export async function nudge(run: Run, agent: Dispatched, text: string): Promise<void> {
  const { id } = agent;
  if (id === undefined || isOver(agent)) return;
  const key = `dispatch-${run.request.runId}-${agent.number}-${agent.attempt}-input`;
  const retries = { left: maxRetries.input };
  const sent = await tryTo(run, "give it input", id, (project) => run.client.input(project, id, text, key), retries);
  if (sent) await atRestWithinGrace(run, agent);
}

async function atRestWithinGrace(run: Run, agent: Dispatched): Promise<void> {
  await look(run, agent);
  await agentUntil(agent, () => isOver(agent), { limitMs: run.request.timeouts.idleGraceMs });
  if (!isOver(agent)) await look(run, agent);
}

/** Deletes an agent that has not come to rest after its turn was ended; one that has is kept, to be looked at. */
export async function removeUnlessAtRest(run: Run, agent: Dispatched): Promise<void> {
  const { id } = agent;
  if (id !== undefined && !isOver(agent)) agent.deleted = await remove(run, id);
}
