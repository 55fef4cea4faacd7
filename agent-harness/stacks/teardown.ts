import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { databaseName } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, silent, withStep } from "../shared/progress.ts";
import { type Ledger, type ResourceKind, readLedger, removeLedger, writeLedger } from "./ledger.ts";
import { settleReaper } from "./reaper-process.ts";
import { rebuildLedger } from "./rebuild.ts";
import { listClaims, releaseId } from "./registry.ts";
import type { Resource, StackContext } from "./resource.ts";
import { resources } from "./resources/index.ts";
import { dropBranch, emptyTrashBehind, requireSavedWork, requireUnshared } from "./resources/worktree.ts";
import { requireSameInfra } from "./same-infra.ts";
import {
  clearStraysOf,
  dropExpired,
  isWorthKeeping,
  keepData,
  keptText,
  snapshotSettings,
} from "./snapshot/teardown.ts";
import { infraOf } from "./stack-infra.ts";
import { withStackLock } from "./stack-lock.ts";
import { requireUnused } from "./use.ts";

export interface TeardownOptions {
  paths: HomePaths;
  id: number;
  env?: Readonly<Record<string, string | undefined>>;
  /** Only say what would go. */
  dryRun?: boolean;
  /** Take a stack away although a session works on it, and a worktree although it holds work that nothing else has. */
  force?: boolean;
  /** Delete the branch of the worktree too. */
  deleteBranch?: boolean;
  /** `false`: keep nothing of the data, whatever the config says. (Default: the config's `snapshots.beforeTeardown`) */
  snapshot?: boolean;
  /** Asked once nobody else works on the stack: nothing is done when it says no. */
  isWanted?: (ledger: Ledger) => boolean;
  progress?: Progress;
}

export interface TeardownResult {
  id: number;
  /** What was there and is gone (or would go). */
  removed: string[];
  /** What of the data was kept (or would be), as a snapshot that can be restored. */
  kept: string[];
  ms: number;
}

/**
 * Takes away everything that a stack's launch made, in reverse order, going on past failures; then asks for each thing
 * whether it is still there. Works on what a killed launch or teardown left. A stack that is not there is fine. Data that the
 * stack has written is kept as its snapshot `before-teardown`.
 */
export async function teardown(options: TeardownOptions): Promise<TeardownResult> {
  const start = performance.now();
  const progress = options.progress ?? silent;
  const { paths, id } = options;
  const done = await withStackLock(paths, id, progress, async () => {
    const context = await openContext({ ...options, progress });
    if (context === undefined) return { removed: [], kept: [] };
    if (options.isWanted?.(context.ledger) === false) return { removed: [], kept: [] };
    const env = options.env ?? process.env;
    const settings = await snapshotSettings(context.ledger.configPath, env);
    const keeps = options.snapshot !== false && settings.beforeTeardown;
    if (options.dryRun) {
      const worth = keeps && (await isWorthKeeping(context));
      return { removed: await survivors(context), kept: worth ? [keptText(id)] : [] };
    }
    await requireUnshared(context);
    const deleteBranch = options.deleteBranch === true;
    if (options.force !== true) {
      await requireUnused(paths, id);
      await requireSavedWork(context, { deleteBranch });
    }
    const keepDays = keeps ? settings.keepDays : undefined;
    const gone = await takeAway(context, { deleteBranch, keepDays, force: options.force === true });
    return { ...gone, infra: context.infra };
  });
  if ("infra" in done) await dropExpired(paths, done.infra, progress);
  await settleReaper(paths, options.env ?? process.env);
  return { id, removed: done.removed, kept: done.kept, ms: performance.now() - start };
}

interface Going {
  force: boolean;
  deleteBranch: boolean;
  /** For how long the data is kept; undefined when it goes too. */
  keepDays: number | undefined;
}

async function takeAway(
  context: StackContext,
  { deleteBranch, keepDays, force }: Going,
): Promise<Pick<TeardownResult, "removed" | "kept">> {
  const { ledger, paths } = context;
  ledger.status = "tearing-down";
  const failures: string[] = [];
  const removed: string[] = [];
  const kept: string[] = [];
  const attempt = async (what: string, work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      failures.push(`${what}: ${errorText(error)}`);
      return false;
    }
  };
  // The claim on the id comes last, when everything else is known to be gone: nobody else may get the id before.
  const [claim, ...things] = resources;
  let mayLose = true;
  for (const resource of [...things].reverse()) {
    if (!mayLose && dataKinds.includes(resource.kind)) continue;
    await attempt(resource.kind, async () => {
      // Asked again: what was stopped meanwhile, or an agent, may have written into it since.
      if (resource.kind === "worktree" && !force) await requireSavedWork(context, { deleteBranch });
      const what = await destroyOne(resource, context);
      if (what !== undefined) removed.push(what);
    });
    // Now nothing writes any more, and nothing of the data is gone yet.
    if (resource.kind !== "processes") continue;
    mayLose = await attempt(
      `database and bucket, of which no snapshot could be made (${withoutSnapshot})`,
      async () => {
        if (keepDays === undefined || !(await keepData(context, keepDays))) return;
        kept.push(keptText(ledger.id));
        removed.push(`the database ${databaseName(ledger.id)}`);
      },
    );
  }
  await attempt("what was left of snapshots", () => clearStraysOf(context));
  await requireGone(context, failures);
  if (deleteBranch) removed.push(...(await dropBranch(context)));
  await emptyTrashBehind(context);
  await claim?.destroy(context);
  await removeLedger(paths, ledger.id);
  return { removed, kept };
}

/** What a snapshot is made of. */
const dataKinds: readonly ResourceKind[] = ["database", "bucket"];

const withoutSnapshot = "to lose them, teardown with --no-snapshot";

/** Takes one thing away and says what was there of it. */
async function destroyOne(resource: Resource, context: StackContext): Promise<string | undefined> {
  const { ledger, paths, progress } = context;
  const what = await resource.exists(context);
  const entry = ledger.resources.find((one) => one.kind === resource.kind);
  if (entry !== undefined) entry.state = "destroying";
  await writeLedger(paths, ledger);
  // Also when nothing was seen: what hid from the look is taken along.
  if (what === undefined) await resource.destroy(context);
  else {
    await withStep(
      progress,
      resource.kind,
      () => resource.destroy(context),
      () => what,
    );
  }
  return what;
}

async function requireGone(context: StackContext, failures: string[]): Promise<void> {
  const left = failures.length > 0 ? [] : (await survivors(context)).filter((one) => !one.startsWith("the claim on"));
  if (left.length === 0 && failures.length === 0) return;
  const { id } = context.ledger;
  const what =
    failures.length > 0
      ? `not everything could be taken away:\n${failures.join("\n")}`
      : `these survived: ${left.join(", ")}.`;
  throw new HarnessError("SURVIVORS", `Teardown of agent ${id}: ${what}`, {
    hint: `Mend the cause (is infra up? agent-harness infra up), then run again: agent-harness teardown ${id}`,
    leftBehind: "the ledger, and what is named above",
    context: { id, survivors: left, failures },
  });
}

async function survivors(context: StackContext): Promise<string[]> {
  const found = await Promise.all(resources.map((resource) => resource.exists(context)));
  return found.filter((one) => one !== undefined);
}

async function openContext(options: TeardownOptions & { progress: Progress }): Promise<StackContext | undefined> {
  const { paths, id, progress } = options;
  const found = await readLedger(paths, id);
  const configPath =
    found !== undefined && "ledger" in found ? found.ledger.configPath : await claimedConfig(paths, id);
  if (configPath === undefined) {
    await releaseId(paths, id);
    // Logs at the most: a teardown killed at its very end had given the claim back and begun to delete the folder. One that
    // holds a ledger kept aside stays.
    if (found === undefined && options.dryRun !== true && !(await keepsAside(paths, id))) await removeLedger(paths, id);
    return undefined;
  }
  const infra = await infraOf(paths, configPath, options.env ?? process.env, progress);
  const ledger: Ledger | undefined =
    found !== undefined && "ledger" in found ? found.ledger : await rebuildLedger({ paths, infra, id });
  if (ledger === undefined) return undefined;
  requireSameInfra(ledger, infra);
  return { paths, infra, ledger, progress };
}

/** Whether the stack's folder has a ledger that could not be read and was set aside. */
async function keepsAside(paths: HomePaths, id: number): Promise<boolean> {
  const names = await readdir(join(paths.stacks, String(id))).catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return [];
    throw error;
  });
  return names.some((name) => name.includes(".corrupt-"));
}

async function claimedConfig(paths: HomePaths, id: number): Promise<string | undefined> {
  return (await listClaims(paths)).find((one) => one.id === id)?.configPath;
}
