import { HarnessError } from "../../shared/errors.ts";
import type { HomePaths } from "../../shared/paths.ts";
import type { ComposeSettings } from "./agree.ts";
import { type ContainerFacts, type Engine, labels } from "./engine.ts";

/**
 * Throws NAME_FOREIGN when containers or volumes of the project are not this harness's: another home's, another user's, or
 * a project of the same name that has nothing to do with us. Returns the containers that are ours.
 */
export async function requireOwnProject(
  engine: Engine,
  { project }: Pick<ComposeSettings, "project">,
  machine: string,
  paths: HomePaths,
): Promise<ContainerFacts[]> {
  const [containers, volumes] = await Promise.all([engine.containers(project), engine.volumes(project)]);
  const isOurs = (one: { labels: Readonly<Record<string, string>> }): boolean => one.labels[labels.machine] === machine;
  const foreign = containers.find((one) => !isOurs(one)) ?? volumes.find((one) => !isOurs(one));
  if (foreign === undefined) return containers;
  const kind = "state" in foreign ? "container" : "volume";
  const home = foreign.labels[labels.home];
  const whose = home === undefined ? "another compose project" : `the agent-harness of ${home}`;
  // A home that was deleted by hand leaves its volumes, whose passwords nobody knows any more.
  const again = home === paths.home ? " as it was before its credentials were made anew" : "";
  throw new HarnessError(
    "NAME_FOREIGN",
    `The compose project ${project} is not ours: its ${kind} ${foreign.name} belongs to ${whose}${again}.`,
    {
      hint: `Set AGENT_COMPOSE_PROJECT to another name (and other AGENT_*_PORTs, if it runs). Or, if nobody needs it: docker compose --project-name ${project} down --volumes`,
      leftBehind: "everything: nothing was touched",
      context: { project, name: foreign.name, ...(home === undefined ? {} : { home }) },
    },
  );
}
