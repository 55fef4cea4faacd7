import { setTimeout as delay } from "node:timers/promises";
import { HarnessError } from "../../shared/errors.ts";
import { withStep } from "../../shared/progress.ts";
import { checkService } from "../health.ts";
import type { Infra, ServiceId } from "../services.ts";
import { askCompose, runCompose } from "./command.ts";
import { watchEvents } from "./events.ts";
import { type ContainerEnd, explainService, explainUp, type Starting, unreachable } from "./explain.ts";
import { restartHanging, stopLooping } from "./hanging.ts";
import { rememberEngine } from "./last-engine.ts";
import { composeNames, findServiceId } from "./names.ts";
import { type ComposeParts, ownContainers } from "./parts.ts";
import { requirePorts } from "./port-taken.ts";
import { pullMissing } from "./pull.ts";
import { writeSecrets } from "./secrets.ts";

/** How long all services together may take to be healthy once their images are there, in s. */
const usualWaitSeconds = 120;
/** A container that ends so often while it starts will not come up. */
const maxEnds = 2;

/** Pulls what is missing, then `docker compose up --wait`; a step for each service, which ends when the engine calls it healthy. */
export async function startContainers(
  parts: ComposeParts,
  ids: readonly ServiceId[],
  infra: Infra,
  onUp: (id: ServiceId) => Promise<void>,
  { waitSeconds = usualWaitSeconds } = {},
): Promise<void> {
  const { context, settings, engine } = parts;
  const { progress, record, paths, credentials } = context;
  const containers = new Map([...(await ownContainers(parts))].filter(([id]) => ids.includes(id)));
  await stopLooping(parts, containers);
  // One that runs holds its own ports, also while it is paused.
  const stopped = ids.filter((id) => !["running", "paused"].includes(containers.get(id)?.state ?? ""));
  await requirePorts(engine, stopped, record.ports);
  await pullMissing(engine, ids, settings.images, progress);
  await rememberEngine(paths, engine.endpoint);
  await writeSecrets(paths, credentials);
  await restartHanging(parts, containers, infra);
  const starting: Starting = { engine, settings, ports: record.ports, ids };
  const watch = await watchStart(parts, ids, waitSeconds);
  const up = runUp(parts, starting, watch, waitSeconds);
  try {
    const ends = await Promise.allSettled(
      ids.map(async (id) => {
        await withStep(
          progress,
          id,
          () => upAndWorking(id, starting, infra, watch, up),
          (text) => text,
        );
        await onUp(id);
      }),
    );
    await up;
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  } finally {
    watch.stop.abort();
    await watch.ended;
  }
}

/** What the engine's events tell while compose starts the services. */
interface StartWatch {
  /** Of each service: resolves with nothing when it is healthy, with its end when it will not come up. */
  outcomes: ReadonlyMap<ServiceId, Promise<ContainerEnd | undefined>>;
  /** Those that have not come to their outcome. */
  open: () => ServiceId[];
  /** Aborts when every service came to its outcome, and not each to the good one: compose would go on waiting. */
  hopeless: AbortController;
  /** Until when a service may become healthy, by `Date.now()`. */
  limit: number;
  stop: AbortController;
  ended: Promise<void>;
}

async function watchStart(
  { engine, settings }: ComposeParts,
  ids: readonly ServiceId[],
  waitSeconds: number,
): Promise<StartWatch> {
  const resolvers = new Map<ServiceId, (end: ContainerEnd | undefined) => void>();
  const outcomes = new Map(
    ids.map((id) => [id, new Promise<ContainerEnd | undefined>((resolve) => resolvers.set(id, resolve))]),
  );
  const [hopeless, stop] = [new AbortController(), new AbortController()];
  const ends = countEnds();
  let lost = false;
  const { ended } = await watchEvents(engine, settings.project, stop.signal, (event) => {
    const id = findServiceId(event.service);
    const resolve = id === undefined ? undefined : resolvers.get(id);
    if (id === undefined || resolve === undefined) return;
    const end = ends(event);
    if (end === undefined && event.action !== "health_status: healthy") return;
    lost ||= end !== undefined;
    resolve(end);
    resolvers.delete(id);
    if (lost && resolvers.size === 0) hopeless.abort();
  });
  const limit = Date.now() + waitSeconds * 1000;
  return { outcomes, open: () => [...resolvers.keys()], hopeless, stop, ended, limit };
}

/** Gives the end of a container at the event by which it has ended too often. */
function countEnds(): (event: { container: string; action: string; exitCode?: number }) => ContainerEnd | undefined {
  // By container: one that compose replaces ends once, and that is no failure of the new one.
  const counts = new Map<string, number>();
  const outOfMemory = new Set<string>();
  return ({ container, action, exitCode }) => {
    if (action === "oom") outOfMemory.add(container);
    if (action !== "die") return undefined;
    const count = (counts.get(container) ?? 0) + 1;
    counts.set(container, count);
    if (count < maxEnds) return undefined;
    return { outOfMemory: outOfMemory.has(container), ...(exitCode === undefined ? {} : { exitCode }) };
  };
}

/** Resolves when compose has nothing more to do; throws why it failed, but for a service that was seen to fail. */
async function runUp(parts: ComposeParts, starting: Starting, watch: StartWatch, waitSeconds: number): Promise<void> {
  const wait = ["--wait", "--wait-timeout", String(waitSeconds)];
  const names = starting.ids.map((id) => composeNames[id]);
  const { exitCode, tail } = await runCompose(
    parts.project,
    ["up", "--detach", ...wait, "--no-deps", "--pull", "never", ...names],
    { signal: watch.hopeless.signal, timeoutMs: (waitSeconds + 60) * 1000 },
  );
  const open = watch.open();
  if (watch.hopeless.signal.aborted || (exitCode === 0 && open.length === 0)) return;
  const failed = await findFailed(parts, starting.ids);
  // Asked though it says that all went well: at the limit of --wait-timeout it may end with 0, whatever is not healthy.
  if (exitCode === 0 && !open.some((id) => failed.includes(id))) return;
  throw await explainUp(starting, { failed, tail });
}

/** The services that compose itself calls anything but healthy. */
async function findFailed({ project }: ComposeParts, ids: readonly ServiceId[]): Promise<ServiceId[]> {
  const all = await askCompose(project, ["ps", "--all", "--format", "json"]);
  return all.flatMap((one) => {
    const { Service, State, Health } = one as { Service?: string; State?: string; Health?: string };
    const id = findServiceId(Service ?? "");
    const well = State === "running" && Health === "healthy";
    return id === undefined || well || !ids.includes(id) ? [] : [id];
  });
}

/** Healthy by the engine's check, then by the service's own protocol from here: a published port may be a moment later. */
async function upAndWorking(
  id: ServiceId,
  starting: Starting,
  infra: Infra,
  watch: StartWatch,
  up: Promise<void>,
): Promise<string> {
  // A service that ran already has no event to wait for; the end of `up` tells of all.
  const others = up.then(
    () => undefined,
    (error: unknown) => outlive(error, id, starting, watch),
  );
  const lost = await Promise.race([watch.outcomes.get(id), others]);
  if (lost !== undefined) throw await explainService(starting, id, lost);
  const end = Date.now() + 10_000;
  for (;;) {
    const health = await checkService(infra, id);
    if (health.healthy) return health.detail;
    if (Date.now() > end) throw await unreachable(starting, id, health.detail);
    await delay(50);
  }
}

/** Compose may end with the first service that fails; the others go on by themselves, if it has started them. */
async function outlive(
  error: unknown,
  id: ServiceId,
  { engine, settings }: Starting,
  watch: StartWatch,
): Promise<ContainerEnd | undefined> {
  if (!(error instanceof HarnessError) || (error.context["service"] ?? id) === id) throw error;
  const container = (await engine.containers(settings.project)).find((one) => one.service === composeNames[id]);
  if (container?.state !== "running") throw error;
  const late = delay(Math.max(0, watch.limit - Date.now()), undefined, { signal: watch.stop.signal });
  return await Promise.race([watch.outcomes.get(id), late.then(() => Promise.reject(error))]);
}
