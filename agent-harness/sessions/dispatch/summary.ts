import { failureOf } from "./client.ts";
import { maxRetries, withRecovery } from "./recovery.ts";
import { agentUntil, type Dispatched, projectOf, type Run, type Summary } from "./run.ts";

/** How much is looked through for something that the agent said. */
const messageLimit = 20;
const outputLines = 200;

/** The last thing that an agent said: as its provider keeps it, else out of its conversation, else its raw output. */
export async function summarize(run: Run, agent: Dispatched): Promise<Summary> {
  const { id } = agent;
  if (id === undefined) return missing(["it was never created"]);
  if (agent.hinted !== undefined) return { text: agent.hinted, source: "messages/last", missing: null };
  // A session log is written a little after the program has come to rest.
  await agentUntil(agent, () => agent.finalized, { limitMs: run.pace.settleMs, signal: run.stopped });
  const why: string[] = [];
  for (const { source, read } of places(run, id)) {
    const what = { doing: `read ${source}`, agentId: id, retries: { left: maxRetries.other } };
    try {
      const text = await withRecovery(run.recovery, what, read);
      if (text !== undefined && text.trim() !== "") return { text, source, missing: null };
      why.push(`${source} has none`);
    } catch (error) {
      const failure = failureOf(error);
      if (failure === undefined) throw error;
      why.push(`${source}: ${failure.code}`);
    }
  }
  return missing(why);
}

interface Place {
  source: NonNullable<Summary["source"]>;
  read: () => Promise<string | undefined>;
}

function places(run: Run, id: string): Place[] {
  const { client } = run;
  const project = projectOf(run).name;
  const lastText = (texts: string[]): string | undefined => texts.findLast((text) => text.trim() !== "");
  return [
    { source: "messages/last", read: () => client.lastMessage(project, id) },
    { source: "messages", read: async () => lastText(await client.messages(project, id, messageLimit)) },
    { source: "output", read: () => client.output(project, id, outputLines) },
  ];
}

/** No message, and why. */
export const missing = (why: readonly string[]): Summary => ({ text: null, source: null, missing: why.join("; ") });
