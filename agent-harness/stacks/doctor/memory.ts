import { machineMemory } from "../../shared/memory.ts";
import { memoryReserve } from "../../shared/settings.ts";
import { estimateStackBytes } from "./estimate-stack.ts";
import { type Check, fine, found, type Mendable } from "./finding.ts";

const mib = 1024 ** 2;

/** Room in memory for more stacks, less the reserve that no launch may take. */
export const checkMemory: Check = async ({ paths, project, env }) => {
  const [memory, estimate] = await Promise.all([machineMemory(), estimateStackBytes(paths, project)]);
  return [judgeMemory(memory.availableBytes - memoryReserve(memory.totalBytes, env), estimate)];
};

/** What to say of free memory, by what a stack takes. */
export function judgeMemory(free: number, { bytes, source }: { bytes: number; source: string }): Mendable {
  const count = Math.max(0, Math.floor(free / bytes));
  const text = `${Math.max(0, Math.round(free / mib))} MB of memory for stacks: ${count} more stack${count === 1 ? "" : "s"} of ${Math.round(bytes / mib)} MB each (${source})`;
  if (count >= 2) return fine("DOCTOR_MEMORY", text);
  return found("DOCTOR_MEMORY", count === 0 ? "warning" : "note", {
    what: text,
    cause: "a launch that does not fit is refused",
    fix: "agent-harness teardown <id> of a stack that nobody uses; agent-harness status --everywhere shows them",
  });
}
