import { resolve } from "node:path";
import { type Infra, infraIsUp, resolveInfra } from "../infra/index.ts";
import { asHarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { parseAgentId } from "../shared/names.ts";
import { templatePath } from "../shared/paths.ts";
import { openProcesses } from "../shared/processes.ts";
import { type Progress, silent, withStep } from "../shared/progress.ts";
import { clearStack } from "./clear.ts";
import { waitHealthy } from "./health.ts";
import { startInfra } from "./infra-use.ts";
import { findLedger, getLedger, type Ledger, readLedger, removeLedger, writeLedger } from "./ledger.ts";
import { planStack, type StackPlan } from "./plan.ts";
import type { Project } from "./project.ts";
import { rebuildLedger } from "./rebuild.ts";
import { startRefill } from "./refill.ts";
import { claimId, listClaims, releaseId, requireNotOthers, stackLock } from "./registry.ts";
import type { LaunchContext, Resource } from "./resource.ts";
import { resources } from "./resources/index.ts";
import { requireSameInfra, serverOf } from "./same-infra.ts";
import { type ReadyTemplate, readyTemplate } from "./template.ts";

export interface LaunchOptions {
  project: Project;
  id: number;
  /** Build the template database first when the project's files have changed. */
  fresh?: boolean;
  /** Variables on top of the config's, for this launch. */
  extraEnv?: Readonly<Record<string, string>>;
  /** Take away what a reset makes anew, once all else is known to work. */
  reset?: boolean;
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
  const { project, reset = false } = options;
  await lookAhead(project, id, reset);
  const infra = await readyInfra(project, progress);
  const plan = await planStack({ project, infra, id, extraEnv: options.extraEnv ?? {} });
  const template = await readyTemplate({ project, infra, progress, want: options.fresh ? "current" : "any" });
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
    () => make({ project, infra, plan, template, reset, progress }),
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
  template: ReadyTemplate;
  reset: boolean;
  progress: Progress;
}

async function make({ project, infra, plan, template, reset, progress }: Making): Promise<Ledger> {
  const known = await takeId(project, infra, plan, reset);
  const ledger = newLedger(project, plan, known);
  const context: LaunchContext = {
    paths: project.paths,
    infra,
    ledger,
    progress,
    plan,
    template,
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
    await ensureAll(context);
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

/** Makes each resource in turn. The ledger says before a step that it begins, in the same write that ends the last one. */
async function ensureAll(context: LaunchContext): Promise<void> {
  const { ledger, paths, progress } = context;
  for (const [at, resource] of resources.entries()) {
    if (at === 0) await begin(resource, context);
    const entry = ledger.resources.find((one) => one.kind === resource.kind);
    const data = await withStep(progress, resource.kind, () => resource.ensure(context));
    if (entry !== undefined)
      Object.assign(entry, { state: "created", data: { ...data, ...serverOf(resource.kind, context.infra) } });
    const next = resources[at + 1];
    if (next === undefined) await writeLedger(paths, ledger);
    else await begin(next, context);
  }
}

async function begin({ kind }: Resource, { ledger, paths }: LaunchContext): Promise<void> {
  const at = new Date().toISOString();
  const known = ledger.resources.find((one) => one.kind === kind);
  if (known === undefined) ledger.resources.push({ kind, state: "creating", at, data: {} });
  else Object.assign(known, { state: "creating", at });
  await writeLedger(paths, ledger);
}

async function checkHealth(context: LaunchContext, settleMs: number): Promise<void> {
  await using pm2 = await openProcesses(context.paths.pm2);
  await waitHealthy(context.plan.processes, pm2, context, settleMs);
}

/**
 * Claims the id, before the ledger is touched: it may be that of another repository's stack. Returns this stack's ledger
 * where there is one; a lost or unreadable one is rebuilt from what exists. A reset has to find one.
 */
async function takeId(
  project: Project,
  infra: Infra,
  { id, workdir }: StackPlan,
  reset: boolean,
): Promise<Ledger | undefined> {
  const { paths, repository, name, path } = project;
  if (reset) await getLedger(paths, id);
  const isClaimed = (await listClaims(paths)).some((one) => one.id === id);
  await claimId(paths, { id, repository, project: name, workdir, configPath: path });
  const found = await readLedger(paths, id);
  if (found !== undefined && "ledger" in found) {
    requireSameInfra(found.ledger, infra);
    return found.ledger;
  }
  return isClaimed || found !== undefined ? await rebuildLedger({ paths, infra, id }) : undefined;
}

/** The ledger of what this launch will make, on top of what is there. */
function newLedger(project: Project, plan: StackPlan, known: Ledger | undefined): Ledger {
  const now = new Date().toISOString();
  return {
    version: 1,
    id: plan.id,
    project: project.name,
    repository: project.repository,
    workdir: plan.workdir,
    configPath: project.path,
    status: "launching",
    ...(known?.resetting ? { resetting: true } : {}),
    createdAt: known?.createdAt ?? now,
    updatedAt: now,
    ports: plan.values.ports,
    urls: urlsOf(plan),
    resources: known?.resources ?? [],
    processes: plan.processes.map(({ name, spec, aliases, port, health }) => ({
      process: name,
      name: spec.name,
      aliases,
      logFile: spec.logFile,
      settleMs: project.config.settleMs,
      ...(port === undefined ? {} : { port }),
      ...(health === undefined ? {} : { healthUrl: health.url, healthTimeoutMs: health.timeoutMs }),
    })),
  };
}

/** The URLs that a person can open: those of the ports that a running process listens on. */
function urlsOf({ processes, values }: StackPlan): Record<string, string> {
  const used = new Set(processes.map((one) => one.port));
  return Object.fromEntries(Object.entries(values.urls).filter(([name]) => used.has(values.ports[name] ?? -1)));
}
