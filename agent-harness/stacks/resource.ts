import type { Infra } from "../infra/index.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, silent } from "../shared/progress.ts";
import { emptyLedger } from "./empty-ledger.ts";
import type { Ledger, ResourceKind } from "./ledger.ts";
import type { StackPlan } from "./plan.ts";
import type { ReadyTemplate } from "./template.ts";
import type { WorktreePlan } from "./worktree/request.ts";

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
  /** What the ledger said of it, from the thing itself, for a ledger that was lost; absent where nothing asks for it. */
  recall?: (context: StackContext) => Promise<Record<string, unknown> | undefined>;
  /** Everything of this kind that carries our mark, of whichever stack, for gc; absent where nothing could lie around. */
  listMarked?: (search: Search) => Promise<MarkedThing[]>;
}

/** Where things of any stack are looked for. */
export interface Search {
  paths: HomePaths;
  infra: Infra;
  /** Working directories that are known of. */
  folders: readonly string[];
  /** Main folders of the repositories that are known of. */
  repositories: readonly string[];
}

/** Something that carries the mark of this harness and an agent; whether that agent still has a stack is for gc to find out. */
export interface MarkedThing {
  /** As people would look for it. */
  name: string;
  id: number;
  /** Why it stays although nobody owns it, and the command that looks at it; undefined when it may go. */
  whyKept?: () => Promise<string | undefined>;
  /** Takes it away if it still carries the mark; gone is gone. The stack's lock is held. */
  remove: () => Promise<void>;
}

/** What `destroy` works with for an agent of whose stack nothing is known but that things of it are there. */
export const contextOfNobody = ({ paths, infra }: Search, id: number): StackContext => ({
  paths,
  infra,
  progress: silent,
  ledger: emptyLedger({ id, project: "", repository: "", workdir: "", configPath: "" }),
});

/** The record of one resource in the ledger. */
export function entryOf(ledger: Ledger, kind: ResourceKind): Record<string, unknown> | undefined {
  return ledger.resources.find((one) => one.kind === kind)?.data;
}
