import { setTimeout as delay } from "node:timers/promises";
import { HarnessError } from "../../shared/errors.ts";
import { checkService } from "../health.ts";
import type { Infra, ServiceId } from "../services.ts";
import { runCompose } from "./command.ts";
import type { ContainerFacts } from "./engine.ts";
import { composeNames } from "./names.ts";
import type { ComposeParts } from "./parts.ts";

/** How long a service that runs may take to answer, in ms: a busy machine is no reason to take it away from stacks. */
const answerLimitMs = 10_000;
/** How long it may take to end by itself, in s. */
const graceSeconds = 5;

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
  const names = hanging.map((id) => composeNames[id]);
  const args = ["restart", "--no-deps", "--timeout", String(graceSeconds), ...names];
  const { exitCode, tail } = await runCompose(parts.project, args, { timeoutMs: 60_000 });
  if (exitCode === 0) return;
  throw new HarnessError("INFRA_DOWN", `${hanging.join(", ")} cannot be restarted:\n${tail.join("\n")}`, {
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
