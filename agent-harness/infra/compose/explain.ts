import { HarnessError } from "../../shared/errors.ts";
import type { InfraRecord } from "../record.ts";
import type { ServiceId } from "../services.ts";
import type { ComposeSettings } from "./agree.ts";
import { type ContainerFacts, type Engine, labels } from "./engine.ts";
import { imageVariables } from "./images.ts";
import { containerTail } from "./logs.ts";
import { composeNames, volumeName } from "./names.ts";
import { findTakenPort, portTaken } from "./port-taken.ts";
import { imageError } from "./pull.ts";

/** What was being started, for the words of why it failed. */
export interface Starting {
  engine: Engine;
  settings: ComposeSettings;
  ports: InfraRecord["ports"];
  ids: readonly ServiceId[];
}

/** How a container ended, as the engine's events told it. */
export interface ContainerEnd {
  exitCode?: number;
  /** Whether it, or something in it, was killed for want of memory. */
  outOfMemory: boolean;
}

/**
 * Why `compose up` failed, in our words: a port, an image, a name, a service with its last log lines; else compose's own
 * words. `failed` are the services that are not well, `tail` the last lines of the compose command.
 */
export async function explainUp(
  starting: Starting,
  { failed, tail }: { failed: readonly ServiceId[]; tail: readonly string[] },
): Promise<HarnessError> {
  const text = tail.join("\n");
  const known = (await portInUse(starting, text)) ?? imageRefused(starting, text) ?? (await nameTaken(starting, text));
  if (known !== undefined) return known;
  const worst = await findWorst(starting, failed);
  return worst === undefined ? await inItsOwnWords(starting, tail) : await explainService(starting, worst);
}

/** Why a service did not come up: what became of its container, and its last log lines. */
export async function explainService(
  starting: Starting,
  id: ServiceId,
  end: ContainerEnd = { outOfMemory: false },
): Promise<HarnessError> {
  const { engine, settings } = starting;
  const container = await findContainer(starting, id);
  if (container === undefined) return await inItsOwnWords(starting, [`The service ${id} has no container.`]);
  const facts = await engine.inspect(container.id);
  const said = (await containerTail(engine, container.id, 12)).join("\n");
  const differs = versionDiffers(said, settings, container);
  if (differs !== undefined) return differs;
  const portWords = `${facts.State.Error}\n${said}`;
  const taken = await portInUse({ ...starting, ids: [id] }, portWords);
  if (taken !== undefined) return taken;
  const check = facts.State.Health?.Log?.at(-1);
  const checked = check === undefined || check.ExitCode === 0 ? "" : ` Its health check says: ${check.Output.trim()}`;
  const what = `The service ${id} (container ${container.name}, image ${container.image}) ${describeEnd(facts, end)}.${checked}`;
  return new HarnessError("INFRA_DOWN", `${what} Its last lines:\n${said || "(no output)"}`, {
    hint: `Run: agent-harness infra logs ${id}. If the image is the wrong one, set ${imageVariables[id]}.`,
    leftBehind: await leftBehind(starting, container.name),
    context: { service: id, container: container.name, image: container.image },
  });
}

/** A service that is healthy in its container, and does not answer here. */
export async function unreachable(starting: Starting, id: ServiceId, why: string): Promise<HarnessError> {
  const container = await findContainer(starting, id);
  const what = `The service ${id} (container ${container?.name ?? "?"}) is healthy by its own check, but does not answer here: ${why}`;
  return new HarnessError("INFRA_DOWN", what, {
    hint: `Run: agent-harness infra logs ${id}`,
    leftBehind: await leftBehind(starting, container?.name),
    context: { service: id, container: container?.name },
  });
}

async function portInUse(starting: Starting, text: string): Promise<HarnessError | undefined> {
  const port = findTakenPort(text, starting.ids, starting.ports);
  return port === undefined ? undefined : await portTaken(starting.engine, port, await leftBehind(starting));
}

function imageRefused({ settings, ids }: Starting, text: string): HarnessError | undefined {
  if (!/pull access denied|manifest unknown|No such image|failed to resolve reference/i.test(text)) return undefined;
  const id = ids.find((one) => text.includes(settings.images[one]));
  return id === undefined ? undefined : imageError(id, settings.images[id], text.split("\n").at(-1) ?? text);
}

/** A container that was made by hand, between our look and compose's. */
async function nameTaken(starting: Starting, text: string): Promise<HarnessError | undefined> {
  const name = /container name "\/?([^"]+)" is already in use/.exec(text)?.[1];
  if (name === undefined) return undefined;
  return new HarnessError("NAME_FOREIGN", `There is a container ${name} already, which is not ours.`, {
    hint: `Set AGENT_COMPOSE_PROJECT to another name. Or, if nobody needs it: docker rm --force ${name}`,
    leftBehind: await leftBehind(starting),
    context: { project: starting.settings.project, name },
  });
}

/** Of the services that are not well the one that says most: one that ended before one that is only slow. */
async function findWorst(starting: Starting, failed: readonly ServiceId[]): Promise<ServiceId | undefined> {
  const ranked: { id: ServiceId; rank: number }[] = [];
  for (const id of failed) {
    const container = await findContainer(starting, id);
    if (container === undefined) continue;
    const { State } = await starting.engine.inspect(container.id);
    const ended = State.Restarting || !State.Running;
    // Made, and not started for a reason of another one's.
    const waiting = State.Status === "created" && State.Error === "";
    if (!waiting) ranked.push({ id, rank: ended ? 0 : State.Health?.Status === "unhealthy" ? 1 : 2 });
  }
  return ranked.sort((one, two) => one.rank - two.rank)[0]?.id;
}

async function findContainer({ engine, settings }: Starting, id: ServiceId): Promise<ContainerFacts | undefined> {
  return (await engine.containers(settings.project)).find((one) => one.service === composeNames[id]);
}

function describeEnd({ State, HostConfig }: Awaited<ReturnType<Engine["inspect"]>>, end: ContainerEnd): string {
  if (State.OOMKilled || end.outOfMemory) {
    const limit =
      HostConfig.Memory === undefined || HostConfig.Memory === 0 ? "" : ` of ${toMegabytes(HostConfig.Memory)}`;
    return `was killed because it needed more memory than its limit${limit}`;
  }
  if (State.Error !== "") return `cannot be started: ${State.Error}`;
  if (end.exitCode !== undefined) return `ends again and again, with code ${end.exitCode}`;
  if (State.Restarting || !State.Running) return `ended with code ${State.ExitCode}`;
  const health = State.Health?.Status;
  return health === "starting" || health === undefined ? "runs, but did not become healthy in time" : `is ${health}`;
}

const toMegabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;

/** Postgres's own words for a data folder of another major version. */
function versionDiffers(
  said: string,
  { images, project }: ComposeSettings,
  container: ContainerFacts,
): HarnessError | undefined {
  const found = /initialized by PostgreSQL version (\d+), which is not compatible with this version (\d+)/.exec(said);
  if (found === null) return undefined;
  const [, have, server] = found;
  return new HarnessError(
    "POSTGRES_VERSION_DIFFERS",
    `The data in the volume ${volumeName(project, "postgres")} is of Postgres ${have}, the server of ${images.postgres} is ${server}.`,
    {
      hint: `Set ${imageVariables.postgres} to an image of Postgres ${have} again. Or, since all in it can be rebuilt but the harness's own database: agent-harness infra destroy --force, then setup.`,
      leftBehind: "the data, as it was",
      context: { service: "postgres", have, server, home: container.labels[labels.home] },
    },
  );
}

async function inItsOwnWords(starting: Starting, tail: readonly string[]): Promise<HarnessError> {
  // What it did meanwhile says nothing of why it stopped.
  const telling = tail.filter((line) => !/^\s*(Container|Network|Volume) \S+ +\w+$/.test(line));
  const lines = (telling.length === 0 ? tail : telling).join("\n");
  return new HarnessError("INFRA_DOWN", `docker compose could not start the services. Its last lines:\n${lines}`, {
    hint: "Mend what it says, then run: agent-harness infra up",
    leftBehind: await leftBehind(starting),
  });
}

/** What is there now: the failed container, the others by what they do, and the data. */
async function leftBehind({ engine, settings }: Starting, failed?: string): Promise<string> {
  const byState = new Map<string, string[]>();
  for (const { name, state } of await engine.containers(settings.project)) {
    // Between two of its starts or just after one: its state of this moment says nothing.
    if (name !== failed) byState.set(state, [...(byState.get(state) ?? []), name]);
  }
  const others = [...byState].map(([state, names]) => `${state}: ${names.sort().join(", ")}`);
  return [...(failed === undefined ? [] : [`the container ${failed}`]), ...others, "all data, as it was"].join("; ");
}
