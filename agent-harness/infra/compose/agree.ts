import { HarnessError } from "../../shared/errors.ts";
import type { InfraRecord } from "../record.ts";
import { type Endpoint, endpointOf, findEndpoint } from "./endpoint.ts";
import { openEngine } from "./engine.ts";
import { agreeOnImages } from "./images.ts";
import { type Owner, requireOwnProject } from "./owner.ts";

/** What the containers run with, as the record of the running infra keeps it. */
export type ComposeSettings = NonNullable<InfraRecord["compose"]>;

type Env = Readonly<Record<string, string | undefined>>;

/** The name of the compose project without AGENT_COMPOSE_PROJECT. */
const usualProject = "agent-infra";

/**
 * What to run with: what the variables say, else what infra runs with already. ENGINE_DIFFERS when they name another
 * engine or project than the one that the running infra is in; NAME_FOREIGN for a new project that is somebody else's.
 */
export async function agreeOnCompose(
  known: ComposeSettings | undefined,
  env: Env,
  owner: Owner,
): Promise<ComposeSettings> {
  const project = env["AGENT_COMPOSE_PROJECT"] || known?.project || usualProject;
  requireProjectName(project);
  const asked = env["DOCKER_HOST"] || env["DOCKER_CONTEXT"] || known === undefined;
  const endpoint = asked ? await findEndpoint(env) : await endpointOf(known, env);
  if (known !== undefined) requireSame(known, project, endpoint.host);
  const images = agreeOnImages(env, known?.images);
  if (known !== undefined) return { ...known, images };
  const engine = await openEngine(endpoint);
  await requireOwnProject(engine, project, owner);
  return { project, ...engineOf(endpoint), images, browserNetwork: await engine.browserNetwork() };
}

const engineOf = ({ host, certFolder }: Endpoint): Pick<ComposeSettings, "engine" | "certFolder"> => ({
  engine: host,
  ...(certFolder === undefined ? {} : { certFolder }),
});

function requireSame(known: ComposeSettings, project: string, engine: string): void {
  const differing = [
    ...(known.project === project ? [] : [`AGENT_COMPOSE_PROJECT is ${project}, not ${known.project}`]),
    ...(known.engine === engine ? [] : [`the Docker engine is ${engine}, not ${known.engine}`]),
  ];
  if (differing.length === 0) return;
  throw new HarnessError("ENGINE_DIFFERS", `Infra runs elsewhere: ${differing.join("; ")}.`, {
    hint: "Unset AGENT_COMPOSE_PROJECT, DOCKER_HOST and DOCKER_CONTEXT, or run first: agent-harness infra down",
    leftBehind: "everything: nothing was touched",
  });
}

/** Compose's own rule, said before anything is made. */
function requireProjectName(project: string): void {
  if (/^[a-z0-9][a-z0-9_-]*$/.test(project)) return;
  throw new HarnessError(
    "CONFIG_INVALID",
    `AGENT_COMPOSE_PROJECT is ${JSON.stringify(project)}, which compose refuses.`,
    { hint: "Use lower-case letters, digits, dashes and underscores, beginning with a letter or digit." },
  );
}
