import { HarnessError } from "../../shared/errors.ts";
import { type AgentView, failedWith, failureOf, type NewAgent } from "./client.ts";
import { ensureProject } from "./project.ts";
import { maxRetries, withRecovery } from "./recovery.ts";
import { type Dispatched, projectOf, type Run } from "./run.ts";

/** An agent that is there, and the newest event at the time of its creation. */
export interface Spawned {
  agent: AgentView;
  lastEventId: number | undefined;
}

/**
 * Starts the agent for one part of the run. The name and the key are the same each time that the same attempt is asked for,
 * so that an answer that was lost costs nothing: a server that knows the key gives the same agent again, and one that does
 * not refuses the name.
 */
export async function spawn(run: Run, agent: Dispatched): Promise<Spawned> {
  const { request } = run;
  const name = nameFor(run, agent);
  agent.name = name;
  const wanted: NewAgent = { ...optional(run), provider: request.provider, task: request.task, name };
  const key = `dispatch-${request.runId}-${agent.number}-${agent.attempt}`;
  for (;;) {
    const project = projectOf(run).name;
    const what = { doing: `create agent ${agent.number}`, retries: agent.retries, expected: ["NAME_CONFLICT"] };
    try {
      return await withRecovery(run.recovery, what, () => run.client.createAgent(project, wanted, key));
    } catch (error) {
      const there = mayBeThere(error) ? await adopt(run, wanted) : undefined;
      if (there !== undefined) return { agent: there, lastEventId: undefined };
      if (!failedWith(error, "PROJECT_NOT_FOUND") || agent.retries.left === 0 || run.stopped.aborted) throw error;
      agent.retries.left -= 1;
      await recreateProject(run, project);
      run.recovery.errors.recovered(what);
    }
  }
}

/** The agent's id, unless the server gives another: this run, this part of it, this attempt. */
export const nameFor = ({ request }: Run, { number, attempt }: Pick<Dispatched, "number" | "attempt">): string =>
  [request.provider, request.runId, number, ...(attempt === 1 ? [] : [attempt])].join("-");

function optional({ request, callback }: Run): Partial<NewAgent> {
  const { model, subscription, runIn, stack, permissions } = request;
  return {
    ...(model !== undefined && { model }),
    ...(subscription !== undefined && { subscription }),
    ...(runIn !== undefined && { runIn }),
    ...(stack !== undefined && { stack }),
    ...(permissions !== undefined && { permissions }),
    ...(callback !== undefined && { callback }),
  };
}

/** Whether a creation that failed may have been done: its name is taken, or nobody can say what came of it. */
function mayBeThere(error: unknown): boolean {
  const { status } = failureOf(error) ?? { status: 0 };
  return failedWith(error, "NAME_CONFLICT") || status === undefined || status >= 500;
}

/** The agent of our name that is there already. Undefined when there is none, or nobody can say. */
async function adopt(run: Run, wanted: NewAgent): Promise<AgentView | undefined> {
  try {
    const view = await findAgent(run, wanted.name);
    return view && requireOurs(view, wanted);
  } catch (error) {
    if (failureOf(error) === undefined || failedWith(error, "NAME_CONFLICT")) throw error;
    return undefined;
  }
}

/** An agent of our name, which is ours when it has our task. */
export function requireOurs(view: AgentView, { task, provider }: Pick<NewAgent, "task" | "provider">): AgentView {
  if (view.task === task && view.provider === provider) return view;
  throw new HarnessError("NAME_CONFLICT", `The agent ${view.id} is there already, with another task.`, {
    hint: "Leave --run-id away, or give another one.",
  });
}

/** The agent of a name; undefined when there is none. */
export async function findAgent(run: Run, name: string): Promise<AgentView | undefined> {
  const expected = ["AGENT_NOT_FOUND", "PROJECT_NOT_FOUND"];
  const what = { doing: "look for it", agentId: name, retries: { left: maxRetries.other }, expected };
  try {
    return await withRecovery(run.recovery, what, () => run.client.getAgent(projectOf(run).name, name));
  } catch (error) {
    if (failedWith(error, ...expected)) return undefined;
    throw error;
  }
}

/** Somebody has deleted the project between its creation and the agent's; of several agents that see it, one makes it anew. */
async function recreateProject(run: Run, missing: string): Promise<void> {
  const known = recreating.get(run);
  if (known !== undefined) return await known;
  if (run.project?.name !== missing) return;
  const work = ensureProject(run).then((project) => {
    run.project = project;
  });
  recreating.set(run, work);
  await work.finally(() => recreating.delete(run));
}

const recreating = new WeakMap<Run, Promise<void>>();
