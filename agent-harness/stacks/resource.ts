import type { Infra } from "../infra/index.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Progress } from "../shared/progress.ts";
import type { Ledger, ResourceKind } from "./ledger.ts";
import type { StackPlan } from "./plan.ts";
import type { ReadyTemplate } from "./template.ts";
import type { WorktreePlan } from "./worktree-request.ts";

/** What every step on a stack knows. */
export interface StackContext {
  paths: HomePaths;
  infra: Infra;
  /** The record of this stack; resources read what others made from it. */
  ledger: Ledger;
  progress: Progress;
}

/** What making a stack knows besides. */
export interface LaunchContext extends StackContext {
  plan: StackPlan;
  template: ReadyTemplate;
  /** Where the instructions for the coding agent come from. */
  instructionsTemplate: string;
  /** The worktree that the stack runs in; undefined for one that runs where it was launched. */
  worktree?: WorktreePlan | undefined;
}

/**
 * One thing that a stack owns. Launch calls `ensure` in order, teardown `destroy` in reverse; then every `exists` must
 * say no. Each asks the outside world, never only the ledger, and can be repeated after any crash.
 */
export interface Resource {
  kind: ResourceKind;
  /** Makes it, or repairs it, or does nothing; returns names and numbers for the ledger. */
  ensure: (context: LaunchContext) => Promise<Record<string, unknown>>;
  /** Takes it away; gone is gone. */
  destroy: (context: StackContext) => Promise<void>;
  /** What of it is there, in words that name it; undefined when nothing is. */
  exists: (context: StackContext) => Promise<string | undefined>;
}

/** The record of one resource in the ledger. */
export function entryOf(ledger: Ledger, kind: ResourceKind): Record<string, unknown> | undefined {
  return ledger.resources.find((one) => one.kind === kind)?.data;
}
