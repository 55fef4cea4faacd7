import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { HarnessError } from "../../shared/errors.ts";
import { removeFolder, templatePath } from "../../shared/paths.ts";
import { withStep } from "../../shared/progress.ts";
import type { DriverContext, DriverView, InfraDriver } from "../driver.ts";
import type { ServiceId } from "../services.ts";
import { runCompose } from "./command.ts";
import type { ContainerFacts } from "./engine.ts";
import { containerTail, followContainer } from "./logs.ts";
import { type ComposeParts, openParts, ownContainers } from "./parts.ts";
import { startContainers } from "./start.ts";

/** The compose driver: every service a container, started by `docker compose`, looked at through the engine. */
export async function openCompose(context: DriverContext): Promise<InfraDriver> {
  const parts = await openParts(context);
  return {
    look: async (options) => await look(parts, options?.stats === true),
    settingsHash: async (id) => await settingsHash(parts, id),
    start: async (ids, infra, onUp) => await startContainers(parts, ids, infra, onUp),
    stop: async () => await stop(parts),
    destroy: async () => await destroy(parts),
    logs: async (ids, options, onLine) => await logs(parts, ids, options, onLine),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function look(parts: ComposeParts, stats: boolean): Promise<Map<ServiceId, DriverView>> {
  const views = [...(await ownContainers(parts))].map(
    async ([id, container]): Promise<[ServiceId, DriverView]> => [id, await view(parts, container, stats)],
  );
  return new Map(await Promise.all(views));
}

async function view({ engine }: ComposeParts, container: ContainerFacts, stats: boolean): Promise<DriverView> {
  const { State, RestartCount, Config } = await engine.inspect(container.id);
  const running = State.Running && !State.Restarting;
  const memory = stats && running ? await engine.memory(container.id) : undefined;
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
async function settingsHash({ settings, context }: ComposeParts, id: ServiceId): Promise<string> {
  const file = await readFile(templatePath("docker-compose.agent.yml"), "utf8");
  const own = id === "postgres" ? context.config.postgres.durability : id === "browser" ? settings.browserNetwork : "";
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

/** The volumes, by the only way that compose has: `down --volumes`. */
async function destroy(parts: ComposeParts): Promise<string[]> {
  const { engine, settings, context } = parts;
  await ownContainers(parts);
  const names = (await engine.volumes(settings.project)).map((one) => `volume ${one.name}`);
  await withStep(context.progress, `delete ${names.join(", ") || "volumes"}`, () => down(parts, ["--volumes"]));
  await removeFolder(context.paths.compose, context.paths.home);
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
  const containers = await ownContainers(parts);
  const wanted = ids.flatMap((service) => {
    const container = containers.get(service);
    return container === undefined ? [] : [{ service, container }];
  });
  for (const { service, container } of wanted) {
    for (const line of await containerTail(parts.engine, container.id, lines)) onLine({ service, line });
  }
  if (follow === undefined) return;
  await Promise.all(
    wanted.map(({ service, container }) =>
      followContainer(parts.engine, container.id, follow, (line) => onLine({ service, line })),
    ),
  );
}
