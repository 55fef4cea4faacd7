import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, silent, withStep } from "../shared/progress.ts";
import { type Ledger, readLedger, removeLedger, writeLedger } from "./ledger.ts";
import { rebuildLedger } from "./rebuild.ts";
import { listClaims, releaseId, stackLock } from "./registry.ts";
import type { StackContext } from "./resource.ts";
import { resources } from "./resources/index.ts";
import { dropBranch, emptyTrashBehind, requireSavedWork, requireUnshared } from "./resources/worktree.ts";
import { requireSameInfra } from "./same-infra.ts";
import { infraOf } from "./stack-infra.ts";

export interface TeardownOptions {
  paths: HomePaths;
  id: number;
  env?: Readonly<Record<string, string | undefined>>;
  /** Only say what would go. */
  dryRun?: boolean;
  /** Take a worktree away although it holds work that nothing else has. */
  force?: boolean;
  /** Delete the branch of the worktree too. */
  deleteBranch?: boolean;
  progress?: Progress;
}

export interface TeardownResult {
  id: number;
  /** What was there and is gone (or would go). */
  removed: string[];
  ms: number;
}

/**
 * Takes away everything that a stack's launch made, in reverse order, going on past failures; then asks for each thing
 * whether it is still there. Works on what a killed launch or teardown left. A stack that is not there is fine.
 */
export async function teardown(options: TeardownOptions): Promise<TeardownResult> {
  const start = performance.now();
  const progress = options.progress ?? silent;
  const { paths, id } = options;
  const removed = await withLock(
    stackLock(paths, id),
    {
      doing: `working on the stack of agent ${id}`,
      timeoutMs: 180_000,
      onWait: (holder) => progress({ type: "note", text: `Waiting for pid ${holder.pid}: ${holder.doing}.` }),
    },
    async () => {
      const context = await openContext({ ...options, progress });
      if (context === undefined) return [];
      if (options.dryRun) return await survivors(context);
      await requireUnshared(context);
      if (options.force !== true) await requireSavedWork(context);
      return await takeAway(context, options.deleteBranch === true);
    },
  );
  return { id, removed, ms: performance.now() - start };
}

async function takeAway(context: StackContext, deleteBranch: boolean): Promise<string[]> {
  const { ledger, paths, progress } = context;
  ledger.status = "tearing-down";
  const failures: string[] = [];
  const removed: string[] = [];
  // The claim on the id comes last, when everything else is known to be gone: nobody else may get the id before.
  const [claim, ...things] = resources;
  for (const resource of [...things].reverse()) {
    try {
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
        removed.push(what);
      }
    } catch (error) {
      failures.push(`${resource.kind}: ${errorText(error)}`);
    }
  }
  await requireGone(context, failures);
  if (deleteBranch) removed.push(...(await dropBranch(context)));
  await emptyTrashBehind(context);
  await claim?.destroy(context);
  await removeLedger(paths, ledger.id);
  return removed;
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
