import { HarnessError } from "../../shared/errors.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { type ContainerFacts, type Engine, labels } from "./engine.ts";

/** Who we are: the harness whose label the containers and volumes must carry. */
export interface Owner {
  machine: string;
  paths: Pick<HomePaths, "home">;
}

/** The containers of the project that are ours, and what is not: NAME_FOREIGN, to be thrown by whoever changes something. */
export async function lookAtProject(
  engine: Engine,
  project: string,
  { machine, paths }: Owner,
): Promise<{ own: ContainerFacts[]; foreign?: HarnessError }> {
  const [containers, volumes] = await Promise.all([engine.containers(project), engine.volumes(project)]);
  const isOurs = (one: Labelled): boolean => one.labels[labels.machine] === machine;
  const own = containers.filter(isOurs);
  const container = containers.find((one) => !isOurs(one));
  if (container !== undefined) return { own, foreign: foreignName(project, "container", container, paths.home) };
  const volume = volumes.find((one) => !isOurs(one));
  return volume === undefined ? { own } : { own, foreign: foreignName(project, "volume", volume, paths.home) };
}

/**
 * Throws NAME_FOREIGN when containers or volumes of the project are not this harness's: another home's, another user's, or
 * a project of the same name that has nothing to do with us. Returns the containers, all of them ours.
 */
export async function requireOwnProject(engine: Engine, project: string, owner: Owner): Promise<ContainerFacts[]> {
  const { own, foreign } = await lookAtProject(engine, project, owner);
  if (foreign !== undefined) throw foreign;
  return own;
}

interface Labelled {
  name: string;
  labels: Readonly<Record<string, string>>;
}

function foreignName(
  project: string,
  kind: "container" | "volume",
  { name, labels: theirs }: Labelled,
  ownHome: string,
): HarnessError {
  const home = theirs[labels.home];
  const compose = theirs[labels.project];
  // Not by compose at all: made by hand under a name that ours would have.
  const unmarked = compose === undefined ? "nobody that we know" : `another compose project of the name ${compose}`;
  // A home that was deleted by hand leaves its volumes, whose passwords nobody knows any more.
  const again = home === ownHome ? " as it was before its credentials were made anew" : "";
  const whose = home === undefined ? unmarked : `the agent-harness of ${home}${again}`;
  const remove =
    compose === undefined
      ? `docker ${kind === "volume" ? "volume rm" : "rm --force"} ${name}`
      : `docker compose --project-name ${compose} down --volumes`;
  return new HarnessError(
    "NAME_FOREIGN",
    `The compose project ${project} is not ours: its ${kind} ${name} belongs to ${whose}.`,
    {
      hint: `Set AGENT_COMPOSE_PROJECT to another name (and other AGENT_*_PORTs, if it runs). Or, if nobody needs it: ${remove}`,
      leftBehind: "everything: nothing was touched",
      context: { project, name, ...(home === undefined ? {} : { home }) },
    },
  );
}
