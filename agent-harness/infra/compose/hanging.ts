import { setTimeout as delay } from "node:timers/promises";
import { HarnessError } from "../../shared/errors.ts";
import { checkService } from "../health.ts";
import type { Infra, ServiceId } from "../services.ts";
import { runCompose } from "./command.ts";
import type { ContainerFacts } from "./engine.ts";
import { composeNames } from "./names.ts";
import type { ComposeParts } from "./parts.ts";

/** One that ended so often, and is not healthy since, will end again. */
const manyEnds = 2;
/** How long a service that runs may take to answer, in ms: a busy machine is no reason to take it away from stacks. */
const answerLimitMs = 10_000;
/** How long it may take to end by itself, in s. */
const graceSeconds = 5;

/**
 * Stops those containers that end again and again: the engine starts them ever more seldom, at last once a minute; while
 * they run they hold their ports, and their ends would be taken for those of what `compose up` puts in their place.
 */
export async function stopLooping(
  parts: ComposeParts,
  containers: ReadonlyMap<ServiceId, ContainerFacts>,
): Promise<void> {
  const looks = [...containers].map(async ([id, one]) => {
    const { State, RestartCount } = await parts.engine.inspect(one.id);
    const unwell = State.Running && RestartCount >= manyEnds && State.Health?.Status !== "healthy";
    return State.Restarting || unwell ? [id] : [];
  });
  const looping = (await Promise.all(looks)).flat();
  if (looping.length === 0) return;
  const { progress } = parts.context;
  for (const id of looping) {
    progress({ type: "note", text: `${id} ended again and again: its container is stopped, then started anew.` });
  }
  await onServices(parts, ["stop"], looping);
}

/** Restarts those containers that run, or were paused, and whose service does not answer: `compose up` leaves them as they are. */
export async function restartHanging(
  parts: ComposeParts,
  containers: ReadonlyMap<ServiceId, ContainerFacts>,
  infra: Infra,
): Promise<void> {
  const looks = [...containers].map(async ([id, one]) => ((await isHanging(parts, id, one, infra)) ? [id] : []));
  const hanging = (await Promise.all(looks)).flat();
  if (hanging.length === 0) return;
  const { progress } = parts.context;
  for (const id of hanging) {
    progress({ type: "note", text: `${id} runs and does not answer: its container is restarted.` });
  }
  await onServices(parts, ["restart", "--no-deps"], hanging);
}

async function onServices(parts: ComposeParts, command: readonly string[], ids: readonly ServiceId[]): Promise<void> {
  const names = ids.map((id) => composeNames[id]);
  const args = [...command, "--timeout", String(graceSeconds), ...names];
  const { exitCode, tail } = await runCompose(parts.project, args, { timeoutMs: 60_000 });
  if (exitCode === 0) return;
  const what = `docker compose ${command[0]} failed for ${ids.join(", ")}:`;
  throw new HarnessError("INFRA_DOWN", `${what}\n${tail.join("\n")}`, {
    hint: "Run: agent-harness infra down. Then, when it has ended: agent-harness infra up",
    leftBehind: "the containers, as they were",
  });
}

async function isHanging(
  parts: ComposeParts,
  id: ServiceId,
  container: ContainerFacts,
  infra: Infra,
): Promise<boolean> {
  if (container.state === "paused") return true;
  if (container.state !== "running") return false;
  const end = Date.now() + answerLimitMs;
  for (;;) {
    if ((await checkService(infra, id)).healthy) return false;
    const { State } = await parts.engine.inspect(container.id);
    // It ended meanwhile, or is just starting: what comes next waits for that.
    if (!State.Running || State.Health?.Status === "starting") return false;
    if (State.Health?.Status === "unhealthy" || Date.now() > end) return true;
    await delay(100);
  }
}
