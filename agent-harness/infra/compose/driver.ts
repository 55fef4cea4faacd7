import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { HarnessError } from "../../shared/errors.ts";
import { templatePath } from "../../shared/paths.ts";
import { withStep } from "../../shared/progress.ts";
import type { DriverContext, DriverView, ExecOptions, InfraDriver } from "../driver.ts";
import type { ServiceId } from "../services.ts";
import { runCompose } from "./command.ts";
import { type ContainerFacts, labels } from "./engine.ts";
import { execInContainer } from "./exec.ts";
import { containerTail, followServices } from "./logs.ts";
import { requireOwnProject } from "./owner.ts";
import { type ComposeParts, findContainers, openParts, ownContainers } from "./parts.ts";
import { noteOfBrowser, tellOfBrowser } from "./reach.ts";
import { startContainers } from "./start.ts";

/** The compose driver: every service a container, started by `docker compose`, looked at through the engine. */
export async function openCompose(context: DriverContext): Promise<InfraDriver> {
  const parts = await openParts(context);
  return {
    look: async (options) => await look(parts, options?.stats === true),
    settingsHash: async (id) => await settingsHash(parts, id),
    start: async (ids, infra, onUp) => {
      await startContainers(parts, ids, infra, onUp);
      if (ids.includes("browser")) await tellOfBrowser(parts);
    },
    stop: async () => await stop(parts),
    destroy: async () => await destroy(parts),
    logs: async (ids, options, onLine) => await logs(parts, ids, options, onLine),
    exec: async (id, argv, options) => await exec(parts, id, argv, options),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function look(parts: ComposeParts, stats: boolean): Promise<Map<ServiceId, DriverView>> {
  const memory = stats && (await parts.engine.countsMemory());
  const views = [...(await findContainers(parts))].map(async ([id, container]): Promise<[ServiceId, DriverView]> => {
    const note = stats && id === "browser" ? await noteOfBrowser(parts, container) : undefined;
    return [id, { ...(await view(parts, container, memory)), ...(note === undefined ? {} : { note }) }];
  });
  return new Map(await Promise.all(views));
}

async function view({ engine }: ComposeParts, container: ContainerFacts, withMemory: boolean): Promise<DriverView> {
  const { State, RestartCount, Config } = await engine.inspect(container.id);
  const running = State.Running && !State.Restarting && !State.Paused;
  const memory = withMemory && running ? await engine.memory(container.id) : undefined;
  return {
    running,
    restarts: RestartCount,
    image: Config.Image,
    log: `container ${container.name}`,
    health: State.Health?.Status ?? State.Status,
    ...(State.Pid === 0 ? {} : { pid: State.Pid }),
    ...(memory === undefined ? {} : { memoryBytes: memory.usedBytes, memoryLimitBytes: memory.limitBytes }),
  };
}

/** The compose file's own text counts too: a new version of it is applied when nothing runs on the service. */
async function settingsHash({ settings, context, project }: ComposeParts, id: ServiceId): Promise<string> {
  const file = await readFile(templatePath("docker-compose.agent.yml"), "utf8");
  const browser = `${settings.browserNetwork}${project.variables["AGENT_BROWSER_NODE_OPTIONS"]}`;
  const own = id === "postgres" ? context.config.postgres.durability : id === "browser" ? browser : "";
  return createHash("sha256").update(`${file} ${settings.images[id]} ${own}`).digest("hex").slice(0, 12);
}

async function stop(parts: ComposeParts): Promise<string[]> {
  const { context } = parts;
  const running = await ownContainers(parts);
  if (running.size === 0) return [];
  const names = [...running.values()].map((one) => one.name);
  await withStep(
    context.progress,
    "stop services",
    () => down(parts, []),
    () => names.join(", "),
  );
  return names;
}

/**
 * The volumes, by the only way that compose has: `down --volumes`. Of every project that is ours: another shell may have
 * used another name, and the passwords of all of them are about to be forgotten.
 */
async function destroy(parts: ComposeParts): Promise<string[]> {
  const { engine, context } = parts;
  const owner = { machine: context.credentials.machine, paths: context.paths };
  const { containers, volumes } = await engine.labelled(`${labels.machine}=${owner.machine}`);
  const projects = new Set([...containers, ...volumes].flatMap((one) => one.labels[labels.project] ?? []));
  const names = volumes.map((one) => `volume ${one.name}`);
  await withStep(context.progress, `delete ${names.join(", ") || "volumes"}`, async () => {
    for (const name of projects) {
      await requireOwnProject(engine, name, owner);
      await down({ ...parts, project: { ...parts.project, name } }, ["--volumes"]);
    }
  });
  return names;
}

async function down({ project }: ComposeParts, options: readonly string[]): Promise<void> {
  const { exitCode, tail } = await runCompose(project, ["down", "--remove-orphans", ...options], {
    timeoutMs: 120_000,
  });
  if (exitCode === 0) return;
  throw new HarnessError("INFRA_DOWN", `docker compose down failed with code ${exitCode}:\n${tail.join("\n")}`, {
    hint: "Mend what it says, then run the same command again.",
    leftBehind: "what it could not stop",
  });
}

async function logs(
  parts: ComposeParts,
  ids: readonly ServiceId[],
  { lines, follow }: { lines: number; follow?: AbortSignal },
  onLine: Parameters<InfraDriver["logs"]>[2],
): Promise<void> {
  const { engine, settings } = parts;
  const found = await findContainers(parts);
  const containers = new Map(ids.map((id) => [id, found.get(id)]));
  if (follow !== undefined) {
    return await followServices({ engine, project: settings.project, containers }, { lines, signal: follow }, onLine);
  }
  for (const [service, container] of containers) {
    if (container === undefined) continue;
    for (const line of await containerTail(engine, container.id, lines)) onLine({ service, line });
  }
}

async function exec(
  parts: ComposeParts,
  id: ServiceId,
  argv: readonly string[],
  options: ExecOptions,
): Promise<number> {
  const container = (await findContainers(parts)).get(id);
  if (container?.state === "running") {
    return await execInContainer(parts.engine, { service: id, container, argv, options });
  }
  const what =
    container === undefined
      ? `There is no container of ${id} yet.`
      : `The container ${container.name} of ${id} does not run: it is ${container.state}.`;
  throw new HarnessError("INFRA_DOWN", what, {
    hint: container?.state === "paused" ? `Run: docker unpause ${container.name}` : "Run: agent-harness infra up",
    context: { service: id, ...(container === undefined ? {} : { container: container.name }) },
  });
}
