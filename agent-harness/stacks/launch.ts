import { resolve } from "node:path";
import { type Infra, infraIsUp, resolveInfra } from "../infra/index.ts";
import { asHarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { parseAgentId } from "../shared/names.ts";
import { templatePath } from "../shared/paths.ts";
import { openProcesses } from "../shared/processes.ts";
import { type Progress, silent, withStep } from "../shared/progress.ts";
import { clearStack } from "./clear.ts";
import { ensureAll } from "./ensure-resources.ts";
import { waitHealthy } from "./health.ts";
import { startInfra } from "./infra-use.ts";
import { newLedger, takeId } from "./launch-ledger.ts";
import { enterWorktree, isInstalled } from "./launch-worktree.ts";
import { findLedger, getLedger, type Ledger, removeLedger, writeLedger } from "./ledger.ts";
import { type PlanOptions, planStack, type StackPlan } from "./plan.ts";
import type { Project } from "./project.ts";
import { startRefill } from "./refill.ts";
import { releaseId, requireNotOthers, stackLock } from "./registry.ts";
import type { LaunchContext } from "./resource.ts";
import { resources } from "./resources/index.ts";
import { requireSameInfra } from "./same-infra.ts";
import { type ReadyTemplate, readyTemplate } from "./template.ts";
import type { WorktreePlan, WorktreeRequest } from "./worktree-request.ts";

export interface LaunchOptions {
  project: Project;
  id: number;
  /** Build the template database first when the project's files have changed. */
  fresh?: boolean;
  /** Variables on top of the config's, for this launch. */
  extraEnv?: Readonly<Record<string, string>>;
  /** Take away what a reset makes anew, once all else is known to work. */
  reset?: boolean;
  /** Run in a git worktree of its own. A stack that has one already keeps it. */
  worktree?: WorktreeRequest | undefined;
  progress?: Progress;
}

/** What a launch made. */
export interface LaunchResult {
  ledger: Ledger;
  template: Pick<ReadyTemplate, "name" | "stale" | "strategy" | "reason">;
  ms: number;
}

/**
 * Brings up the stack of an agent and returns when it is healthy; a stack that is up already is looked at and repaired.
 * What a killed launch left is taken on. Starts infra and builds the template database when they are missing.
 */
export async function launch(options: LaunchOptions): Promise<LaunchResult> {
  const start = performance.now();
  const id = parseAgentId(options.id);
  const progress = options.progress ?? silent;
  const { reset = false } = options;
  const { project, worktree } = await enterWorktree({ ...options, id, progress });
  await lookAhead(project, id, reset);
  const infra = await readyInfra(project, progress);
  const planOptions = { project, infra, id, extraEnv: options.extraEnv ?? {} };
  const beforeInstall = worktree !== undefined && !(await isInstalled(project.paths, id));
  const plan = await planStack({ ...planOptions, beforeInstall });
  const template = await readyTemplate({
    project,
    builder: beforeInstall ? options.project : project,
    infra,
    progress,
    want: options.fresh ? "current" : "any",
  });
  if (template.stale) {
    progress({
      type: "note",
      text: `The project's files have changed since ${template.name} was built; it is used all the same. To build it anew: agent-harness setup`,
    });
  }
  const ledger = await withLock(
    stackLock(project.paths, id),
    {
      doing: `working on the stack of agent ${id}`,
      timeoutMs: 180_000,
      onWait: (holder) => progress({ type: "note", text: `Waiting for pid ${holder.pid}: ${holder.doing}.` }),
    },
    () => make({ project, infra, plan, planOptions, worktree, template, reset, progress }),
  );
  await startRefill(project, infra);
  return { ledger, template, ms: performance.now() - start };
}

/** Refuses what cannot work before infra is started or a template database built for it; the lock is not held yet. */
async function lookAhead({ paths, folder, config, env }: Project, id: number, reset: boolean): Promise<void> {
  const ledger = reset ? await getLedger(paths, id) : await findLedger(paths, id);
  await requireNotOthers(paths, { id, workdir: folder });
  if (ledger !== undefined) requireSameInfra(ledger, await resolveInfra(paths, config.infra, env));
}

/** The infra of a project, started when it does not run. */
export async function readyInfra(project: Project, progress: Progress): Promise<Infra> {
  const { paths, config, env } = project;
  const infra = await resolveInfra(paths, config.infra, env);
  const fits = config.infra.driver === "auto" || infra.driver === undefined || infra.driver === config.infra.driver;
  if (fits && (await infraIsUp(paths, infra))) return infra;
  return await startInfra({ paths, config: config.infra, env, progress });
}

interface Making {
  project: Project;
  infra: Infra;
  plan: StackPlan;
  /** To plan again what an install has changed. */
  planOptions: PlanOptions;
  worktree: WorktreePlan | undefined;
  template: ReadyTemplate;
  reset: boolean;
  progress: Progress;
}

async function make({
  project,
  infra,
  plan,
  planOptions,
  worktree,
  template,
  reset,
  progress,
}: Making): Promise<Ledger> {
  const known = await takeId(project, infra, plan, reset);
  const ledger = newLedger(project, plan, known);
  const context: LaunchContext = {
    paths: project.paths,
    infra,
    ledger,
    progress,
    plan,
    template,
    worktree,
    instructionsTemplate:
      project.config.instructions === undefined
        ? templatePath("CLAUDE.agent.md.hbs")
        : resolve(project.folder, project.config.instructions),
  };
  const clears = reset || ledger.resetting === true;
  const [claim] = resources;
  // The ports too are asked for while there is still all to lose; a refusal leaves the stack and its ledger as they were.
  if (clears) await claim?.ensure(context);
  try {
    if (clears) await clearStack(context);
    await ensureAll(context, planOptions);
    await withStep(progress, "health", () => checkHealth(context, project.config.settleMs));
  } catch (error) {
    await noteFailure(context, known === undefined);
    throw asHarnessError(error);
  }
  ledger.status = "ready";
  await writeLedger(project.paths, ledger);
  return ledger;
}

/** A new stack of which nothing was made, since its ports are taken, is forgotten; any other is kept, with what it has. */
async function noteFailure({ ledger, paths }: LaunchContext, isNew: boolean): Promise<void> {
  if (isNew && ledger.resources.every((one) => one.kind === "ports" && one.state === "creating")) {
    await releaseId(paths, ledger.id);
    await removeLedger(paths, ledger.id);
    return;
  }
  ledger.status = "failed";
  await writeLedger(paths, ledger);
}

async function checkHealth(context: LaunchContext, settleMs: number): Promise<void> {
  await using pm2 = await openProcesses(context.paths.pm2);
  await waitHealthy(context.plan.processes, pm2, context, settleMs);
}
