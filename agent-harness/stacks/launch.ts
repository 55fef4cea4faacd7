import { resolve } from "node:path";
import { type Infra, infraIsUp, resolveInfra } from "../infra/index.ts";
import { asHarnessError } from "../shared/errors.ts";
import { parseAgentId } from "../shared/names.ts";
import { templatePath } from "../shared/paths.ts";
import { openProcesses } from "../shared/processes.ts";
import { type Progress, silent, withStep } from "../shared/progress.ts";
import { learnMemory } from "./admission/estimates.ts";
import { type AdmissionWish, admit } from "./admission.ts";
import { clearStack } from "./clear.ts";
import { ensureAll } from "./ensure-resources.ts";
import { waitHealthy } from "./health.ts";
import { startInfra } from "./infra-use.ts";
import { newLedger, takeId } from "./launch-ledger.ts";
import { enterWorktree, isInstalled } from "./launch-worktree.ts";
import { findLedger, getLedger, type Ledger, removeLedger, writeLedger } from "./ledger.ts";
import type { LifetimeWish } from "./lifetime.ts";
import { type PlanOptions, planStack, type StackPlan } from "./plan.ts";
import type { Project } from "./project.ts";
import { settleReaper } from "./reaper-process.ts";
import { startRefill } from "./refill.ts";
import { releaseId, requireNotOthers } from "./registry.ts";
import type { LaunchContext } from "./resource.ts";
import { isDatabaseWhole } from "./resources/database.ts";
import { resources } from "./resources/index.ts";
import { requireSameInfra } from "./same-infra.ts";
import { putBack, readySnapshot } from "./snapshot/restore.ts";
import { tellOfKept } from "./snapshot/teardown.ts";
import { withStackLock } from "./stack-lock.ts";
import { type ReadyTemplate, readyTemplate } from "./template.ts";
import { touchStack } from "./use.ts";
import type { WorktreePlan, WorktreeRequest } from "./worktree/request.ts";

export interface LaunchOptions extends AdmissionWish {
  project: Project;
  id: number;
  /** Build the template database first when the project's files have changed. */
  fresh?: boolean;
  /** Variables on top of the config's, for this launch. */
  extraEnv?: Readonly<Record<string, string>>;
  /** Take away what a reset makes anew, once all else is known to work. */
  reset?: boolean;
  /** Put the snapshot of this name in the place of the data, once all else is known to work. */
  restore?: string;
  /** Run in a git worktree of its own. A stack that has one already keeps it. */
  worktree?: WorktreeRequest | undefined;
  /** How long it stays; without a word, as long as before, or as the config says. */
  lifetime?: LifetimeWish | undefined;
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
  const { reset = false, restore, lifetime } = options;
  const { project, worktree } = await enterWorktree({ ...options, id, progress });
  await lookAhead(project, id, reset || restore !== undefined);
  await using _room = await admit({ ...options, ...roomOf(project), id, progress });
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
  const ledger = await withStackLock(
    project.paths,
    id,
    progress,
    () => make({ project, infra, plan, planOptions, worktree, template, reset, restore, lifetime, progress }),
    // One that failed has its limits too.
  ).finally(() => settleReaper(project.paths, project.env));
  await startRefill(project, infra);
  return { ledger, template, ms: performance.now() - start };
}

const roomOf = ({ paths, env, name, repository }: Project) => ({ paths, env, key: { project: name, repository } });

/** Refuses what cannot work before infra is started or a template database built for it; the lock is not held yet. */
async function lookAhead({ paths, folder, config, env }: Project, id: number, mustExist: boolean): Promise<void> {
  const ledger = mustExist ? await getLedger(paths, id) : await findLedger(paths, id);
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
  restore: string | undefined;
  lifetime: LifetimeWish | undefined;
  progress: Progress;
}

async function make(making: Making): Promise<Ledger> {
  const { project, infra, plan, planOptions, worktree, template, reset, restore, progress } = making;
  const known = await takeId(project, infra, plan, reset || restore !== undefined);
  const ledger = newLedger(project, plan, known, making.lifetime);
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
  const takeOldAway = await planClearing(context, { known, reset, restore, project });
  try {
    await takeOldAway?.();
    await ensureAll(context, planOptions);
    const health = withStep(progress, "health", () => checkHealth(context, project.config.settleMs));
    const isFresh = known?.resources.some((one) => one.kind === "database") !== true || known.status === "tearing-down";
    await Promise.all([health, isFresh ? tellOfKept(context) : undefined]);
  } catch (error) {
    await noteFailure(context, known === undefined);
    throw asHarnessError(error);
  }
  ledger.status = "ready";
  await writeLedger(project.paths, ledger);
  await touchStack(project.paths, ledger.id);
  return ledger;
}

/**
 * What has to be taken away before anything is made: for a reset, for a restore, for one of them that was killed, or for a
 * teardown that was. Whatever can be refused is asked for here, while there is still all to lose: a refusal leaves the stack
 * and its ledger as they were.
 */
async function planClearing(
  context: LaunchContext,
  { known, reset, restore, project }: { known: Ledger | undefined } & Pick<Making, "reset" | "restore" | "project">,
): Promise<(() => Promise<void>) | undefined> {
  const { ledger } = context;
  const restoring = reset ? undefined : (restore ?? ledger.restoring);
  const clears = reset || ledger.resetting === true || (await isHalfTornDown(context, known));
  if (restoring === undefined && !clears) return undefined;
  const [claim] = resources;
  await claim?.ensure(context);
  if (restoring === undefined) return async () => await clearStack(context);
  const ready = await readySnapshot(context, restoring, project.config.database.strategy);
  return async () => await putBack(context, ready);
}

/** Whether a killed teardown had put the database away, and perhaps nothing else: the new one must not meet old objects. */
async function isHalfTornDown(context: LaunchContext, known: Ledger | undefined): Promise<boolean> {
  return known?.status === "tearing-down" && !(await isDatabaseWhole(context));
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
  await learnMemory(context.paths, await pm2.list(), [context.ledger]);
}
