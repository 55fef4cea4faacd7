import type { HomePaths } from "../../shared/paths.ts";
import { estimateOf, readEstimates } from "../admission/estimates.ts";
import { measureStacks } from "../admission/stack-memory.ts";
import type { Project } from "../project.ts";

/** What one more stack is expected to take. */
export interface StackEstimate {
  bytes: number;
  /** Where that is known from, for people. */
  source: string;
}

/** What one more stack of a project will take: learned from its own, else the mean of those that run now, else a guess. */
export async function estimateStackBytes(paths: HomePaths, project: Project | undefined): Promise<StackEstimate> {
  const learned = await readEstimates(paths);
  const key = { project: project?.name ?? "", repository: project?.repository ?? "" };
  const bytes = estimateOf(learned, key);
  const guess = estimateOf({}, key);
  if (bytes !== guess) return { bytes, source: `learned from stacks of ${key.project}` };
  const running = [...(await measureStacks(paths)).values()].filter((one) => one > 0);
  if (running.length === 0) return { bytes: guess, source: "a guess: none has run yet" };
  const mean = running.reduce((sum, one) => sum + one, 0) / running.length;
  return { bytes: mean, source: `as the ${running.length} that run` };
}
