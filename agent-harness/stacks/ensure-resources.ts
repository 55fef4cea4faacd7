import { withStep } from "../shared/progress.ts";
import { type ResourceKind, writeLedger } from "./ledger.ts";
import { type PlanOptions, planStack } from "./plan.ts";
import type { LaunchContext, Resource } from "./resource.ts";
import { resourceGroups } from "./resources/index.ts";
import { install } from "./resources/install.ts";
import { serverOf } from "./same-infra.ts";

/**
 * Makes each group of resources in turn. The ledger says before a group that it begins, in the same write that ends the
 * last one. When one of a group fails, the others come to their end first.
 */
export async function ensureAll(context: LaunchContext, planOptions: PlanOptions): Promise<void> {
  const { ledger, paths } = context;
  for (const [at, group] of resourceGroups.entries()) {
    if (at === 0) await begin(group, context);
    const ends = await Promise.allSettled(group.map((resource) => ensureOne(resource, context)));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    // Only now are the programs there that a new worktree runs.
    if (group.includes(install)) context.plan = await planStack(planOptions);
    const next = resourceGroups[at + 1];
    if (next === undefined) await writeLedger(paths, ledger);
    else await begin(next, context);
  }
}

async function ensureOne(resource: Resource, context: LaunchContext): Promise<void> {
  const { ledger, progress, infra } = context;
  const entry = ledger.resources.find((one) => one.kind === resource.kind);
  const make = () => resource.ensure(context);
  // Most stacks have no worktree, and nothing to tell of it.
  const silent = context.worktree === undefined && worktreeKinds.includes(resource.kind);
  const data = silent ? await make() : await withStep(progress, resource.kind, make);
  if (entry !== undefined) {
    Object.assign(entry, { state: "created", data: { ...data, ...serverOf(resource.kind, infra) } });
  }
}

const worktreeKinds: readonly ResourceKind[] = ["worktree", "install"];

async function begin(group: readonly Resource[], { ledger, paths }: LaunchContext): Promise<void> {
  const at = new Date().toISOString();
  for (const { kind } of group) {
    const known = ledger.resources.find((one) => one.kind === kind);
    if (known === undefined) ledger.resources.push({ kind, state: "creating", at, data: {} });
    else Object.assign(known, { state: "creating", at });
  }
  await writeLedger(paths, ledger);
}
