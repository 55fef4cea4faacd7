import { mkdir } from "node:fs/promises";
import type { DriverContext } from "../driver.ts";
import type { ServiceId } from "../services.ts";
import { agreeOnCompose, type ComposeSettings } from "./agree.ts";
import { type ComposeProject, findCompose } from "./command.ts";
import { endpointOf } from "./endpoint.ts";
import { type ContainerFacts, type Engine, openEngine } from "./engine.ts";
import { findServiceId } from "./names.ts";
import { requireOwnProject } from "./owner.ts";
import { writeSecrets } from "./secrets.ts";
import { composeVariables } from "./variables.ts";

/** An open compose driver: what every part of it works with. */
export interface ComposeParts {
  context: DriverContext;
  settings: ComposeSettings;
  engine: Engine;
  project: ComposeProject;
}

/** Finds the engine and the compose command, and writes what the containers mount. */
export async function openParts(context: DriverContext): Promise<ComposeParts> {
  const { record, env, paths, credentials } = context;
  const settings = record.compose ?? (await agreeOnCompose(undefined, env));
  const endpoint = await endpointOf(settings.engine, env);
  const engine = await openEngine(endpoint);
  const command = await findCompose(env);
  await mkdir(paths.compose, { recursive: true, mode: 0o700 });
  await writeSecrets(paths, credentials);
  const variables = composeVariables(context, settings);
  return { context, settings, engine, project: { command, name: settings.project, endpoint, paths, variables, env } };
}

/** Our containers, by service. */
export async function ownContainers(parts: ComposeParts): Promise<Map<ServiceId, ContainerFacts>> {
  const { engine, settings, context } = parts;
  const all = await requireOwnProject(engine, settings, context.credentials.machine, context.paths);
  return new Map(
    all.flatMap((one): [ServiceId, ContainerFacts][] => {
      const id = findServiceId(one.service);
      return id === undefined ? [] : [[id, one]];
    }),
  );
}
