import { setTimeout as delay } from "node:timers/promises";
import { withStep } from "../../shared/progress.ts";
import { checkService } from "../health.ts";
import { requireServicePorts } from "../service-ports.ts";
import type { Infra, ServiceId } from "../services.ts";
import { askCompose, runCompose } from "./command.ts";
import { watchEvents } from "./events.ts";
import { explainUp } from "./explain.ts";
import { composeNames, findServiceId } from "./names.ts";
import { type ComposeParts, ownContainers } from "./parts.ts";
import { pullMissing } from "./pull.ts";

/** How long all services together may take to be healthy once their images are there, in s. */
const waitSeconds = 120;
/** A container that ends so often while it starts will not come up. */
const maxEnds = 2;

/** Pulls what is missing, then `docker compose up --wait`; a step for each service, which ends when the engine calls it healthy. */
export async function startContainers(
  parts: ComposeParts,
  ids: readonly ServiceId[],
  infra: Infra,
  onUp: (id: ServiceId) => Promise<void>,
): Promise<void> {
  const { context, settings, engine } = parts;
  const { progress, record } = context;
  const containers = await ownContainers(parts);
  // One that runs holds its own ports.
  const stopped = ids.filter((id) => containers.get(id)?.state !== "running");
  await requireServicePorts(stopped, record, { withConsole: true });
  await pullMissing(engine, ids, settings.images, progress);
  const watch = await watchHealth(parts, ids);
  const up = runUp(parts, ids, watch);
  try {
    const ends = await Promise.allSettled(
      ids.map(async (id) => {
        const detail = withStep(
          progress,
          id,
          () => upAndWorking(id, infra, watch, up),
          (text) => text,
        );
        await detail;
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

interface HealthWatch {
  healthy: ReadonlyMap<ServiceId, Promise<void>>;
  /** Aborts when a service will not come up. */
  hopeless: AbortController;
  failed: ServiceId[];
  stop: AbortController;
  ended: Promise<void>;
}

async function watchHealth({ engine, settings }: ComposeParts, ids: readonly ServiceId[]): Promise<HealthWatch> {
  const resolvers = new Map<ServiceId, () => void>();
  const healthy = new Map(ids.map((id) => [id, new Promise<void>((resolve) => resolvers.set(id, resolve))]));
  const ends = new Map<ServiceId, number>();
  const watch = { healthy, hopeless: new AbortController(), failed: [] as ServiceId[], stop: new AbortController() };
  const { ended } = await watchEvents(engine, settings.project, watch.stop.signal, ({ service, action }) => {
    const id = findServiceId(service);
    if (id === undefined) return;
    if (action === "health_status: healthy") resolvers.get(id)?.();
    if (action !== "die") return;
    const count = (ends.get(id) ?? 0) + 1;
    ends.set(id, count);
    if (count < maxEnds) return;
    watch.failed.push(id);
    watch.hopeless.abort();
  });
  return { ...watch, ended };
}

/** Resolves when all are healthy; throws why not. */
async function runUp(parts: ComposeParts, ids: readonly ServiceId[], watch: HealthWatch): Promise<void> {
  const { project, engine, settings, context } = parts;
  const wait = ["--wait", "--wait-timeout", String(waitSeconds)];
  const args = ["up", "--detach", ...wait, "--no-deps", "--pull", "never", ...ids.map((id) => composeNames[id])];
  const { exitCode, tail } = await runCompose(project, args, {
    signal: watch.hopeless.signal,
    timeoutMs: (waitSeconds + 60) * 1000,
  });
  if (exitCode === 0 && !watch.hopeless.signal.aborted) return;
  const failed = watch.failed.length > 0 ? watch.failed : await findFailed(parts, ids);
  throw await explainUp({ engine, settings, ports: context.record.ports, ids, failed, tail });
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
async function upAndWorking(id: ServiceId, infra: Infra, watch: HealthWatch, up: Promise<void>): Promise<string> {
  // A service that ran already has no event to wait for; the end of `up` tells of all.
  await Promise.race([watch.healthy.get(id), up]);
  const end = Date.now() + 10_000;
  for (;;) {
    const health = await checkService(infra, id);
    if (health.healthy) return health.detail;
    if (Date.now() > end) throw new Error(`healthy by its own check, and not from here: ${health.detail}`);
    await delay(50);
  }
}
