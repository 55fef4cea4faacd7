import { failedWith, failureOf } from "./client.ts";
import { remove } from "./end.ts";
import { maxRetries, withRecovery } from "./recovery.ts";
import type { Dispatched, Run } from "./run.ts";

/**
 * Deletes what is not to be kept: of a run that was met and is ephemeral its successful agents, by force all of its agents.
 * The project goes with them when this run made it and nothing is left in it.
 */
export async function cleanUp(run: Run, met: boolean): Promise<void> {
  const { ephemeral, forceCleanup } = run.request;
  if (!forceCleanup && !(ephemeral && met)) return;
  const goes = (agent: Dispatched): boolean => forceCleanup || agent.outcome === "succeeded";
  await Promise.all(
    run.agents.map(async (agent) => {
      if (agent.id !== undefined && !agent.deleted && !agent.gone && goes(agent)) {
        agent.deleted = await remove(run, agent.id);
      }
    }),
  );
  await removeProject(run);
}

async function removeProject(run: Run): Promise<void> {
  const { project, client } = run;
  if (project === undefined || !project.created) return;
  const what = { doing: `delete the project ${project.name}`, expected: ["PROJECT_NOT_FOUND"] };
  const recovery = { ...run.recovery, signal: new AbortController().signal };
  const attempt = <T>(send: () => Promise<T>): Promise<T> =>
    withRecovery(recovery, { ...what, retries: { left: maxRetries.other } }, send);
  try {
    const { agents } = await attempt(() => client.getProject(project.name));
    // Whoever is in it is not ours, or has failed and is kept.
    if (agents.length > 0) return;
    await attempt(() => client.deleteProject(project.name));
    project.deleted = true;
  } catch (error) {
    if (failureOf(error) === undefined) throw error;
    project.deleted = failedWith(error, "PROJECT_NOT_FOUND");
  }
}
