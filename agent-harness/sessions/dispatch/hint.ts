import { failureOf } from "./client.ts";
import { look } from "./look.ts";
import { projectOf, type Run } from "./run.ts";

/**
 * A webhook says that an agent has come to rest. It may be old, repeated or somebody's joke: its last message is read at
 * once, and what counts is what a GET says of the agent.
 */
export async function takeHint(run: Run, { project, agentId }: { project: string; agentId: string }): Promise<void> {
  const agent = run.agents.find(({ id }) => id === agentId);
  if (agent === undefined || agent.outcome !== undefined || project !== projectOf(run).name) return;
  try {
    const text = await run.client.lastMessage(project, agentId);
    agent.hinted = text === undefined || text.trim() === "" ? undefined : text;
  } catch (error) {
    // It is asked again when the agent is at rest, and then what went wrong is told.
    if (failureOf(error) === undefined) throw error;
  }
  await look(run, agent);
}
