import type { DriverContext } from "../driver.ts";
import type { ServiceId } from "../services.ts";
import { agreeOnCompose, type ComposeSettings } from "./agree.ts";
import { type ComposeProject, findCompose } from "./command.ts";
import { endpointOf } from "./endpoint.ts";
import { type ContainerFacts, type Engine, openEngine } from "./engine.ts";
import { findServiceId } from "./names.ts";
import { lookAtProject, type Owner, requireOwnProject } from "./owner.ts";
import { composeVariables } from "./variables.ts";

/** An open compose driver: what every part of it works with. */
export interface ComposeParts {
  context: DriverContext;
  settings: ComposeSettings;
  engine: Engine;
  project: ComposeProject;
}

/** Finds the engine and the compose command. Makes nothing: what only looks leaves no trace of this driver. */
export async function openParts(context: DriverContext): Promise<ComposeParts> {
  const { record, env, paths, credentials } = context;
  const settings = record.compose ?? (await agreeOnCompose(undefined, env, { machine: credentials.machine, paths }));
  const endpoint = await endpointOf(settings, env);
  const engine = await openEngine(endpoint);
  const command = await findCompose(env);
  const variables = composeVariables(context, settings);
  return { context, settings, engine, project: { command, name: settings.project, endpoint, paths, variables, env } };
}

/** Our containers, by service. NAME_FOREIGN when the project has others too: for what changes something. */
export async function ownContainers(parts: ComposeParts): Promise<Map<ServiceId, ContainerFacts>> {
  return byService(await requireOwnProject(parts.engine, parts.settings.project, ownerOf(parts)));
}

/** Our containers, by service; others in the project are a note. For what only looks. */
export async function findContainers(parts: ComposeParts): Promise<Map<ServiceId, ContainerFacts>> {
  const { own, foreign } = await lookAtProject(parts.engine, parts.settings.project, ownerOf(parts));
  if (foreign !== undefined) parts.context.progress({ type: "note", text: `${foreign.message} ${foreign.hint}` });
  return byService(own);
}

const ownerOf = ({ context: { credentials, paths } }: ComposeParts): Owner => ({ machine: credentials.machine, paths });

const byService = (containers: readonly ContainerFacts[]): Map<ServiceId, ContainerFacts> =>
  new Map(
    containers.flatMap((one): [ServiceId, ContainerFacts][] => {
      const id = findServiceId(one.service);
      return id === undefined ? [] : [[id, one]];
    }),
  );
