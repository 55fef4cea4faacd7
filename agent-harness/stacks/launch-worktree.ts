import { copyFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { resolveInfra } from "../infra/index.ts";
import { overridesFileName } from "../shared/config-overrides.ts";
import { errorNumber, HarnessError } from "../shared/errors.ts";
import { findText } from "../shared/files.ts";
import { withLock } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, withStep } from "../shared/progress.ts";
import { emptyLedger } from "./empty-ledger.ts";
import { tryGit } from "./git.ts";
import { findLedger, type Ledger, writeLedger } from "./ledger.ts";
import { openProject, type Project } from "./project.ts";
import { claimId, stackLock } from "./registry.ts";
import { fill } from "./render.ts";
import { entryOf } from "./resource.ts";
import { makeWorktree } from "./worktree-make.ts";
import { planWorktree, type WorktreePlan, type WorktreeRequest } from "./worktree-request.ts";

export interface EnterOptions {
  project: Project;
  id: number;
  worktree?: WorktreeRequest | undefined;
  progress: Progress;
}

/** The project where the stack runs: in the worktree that is asked for or that it has already, else where it was opened. */
export interface EnteredProject {
  project: Project;
  worktree: WorktreePlan | undefined;
}

/** Makes or finds the worktree of a launch and opens the project in it, with the config that lies there. */
export async function enterWorktree(options: EnterOptions): Promise<EnteredProject> {
  const { project, id, worktree: request } = options;
  const known = await findLedger(project.paths, id);
  const has = known === undefined || known.repository !== project.repository ? undefined : planOf(known);
  if (has !== undefined && known !== undefined) {
    if (request !== undefined) requireSamePlace(request, has, id);
    return { project: await openProject({ config: known.configPath, env: project.env }), worktree: has };
  }
  if (request === undefined) return { project, worktree: undefined };
  if (known !== undefined) throw hasNone(id);
  return await enterNew({ ...options, worktree: request });
}

/** Whether the install of a stack's worktree has been done. */
export async function isInstalled(paths: HomePaths, id: number): Promise<boolean> {
  const known = await findLedger(paths, id);
  return known !== undefined && entryOf(known, "install")?.["done"] === true;
}

async function enterNew(options: EnterOptions & { worktree: WorktreeRequest }): Promise<EnteredProject> {
  const { project, id, worktree: request, progress } = options;
  const { paths, repository, config, folder } = project;
  const top = await tryGit(folder, ["rev-parse", "--show-toplevel"]);
  if (top === undefined) {
    throw new HarnessError("USAGE", `${folder} is in no git repository, so there can be no worktree of it.`, {
      hint: `Run: git init, and commit. Or launch it where it is: agent-harness launch ${id}`,
    });
  }
  const named = { id, project: project.name };
  const fillBranch = (text: string): string => fill(text, named, "worktree.branch");
  const plan = await planWorktree({ id, request, repository, config: config.worktree, fill: fillBranch });
  const inside = relative(top, folder);
  const workdir = join(plan.path, inside);
  const configPath = join(workdir, relative(folder, project.path));
  const { machine } = await resolveInfra(paths, config.infra, project.env);
  const doing = `working on the stack of agent ${id}`;
  await withLock(stackLock(paths, id), { doing, timeoutMs: 180_000 }, async () => {
    await claimId(paths, { id, repository, project: project.name, workdir, configPath });
    const ledger = emptyLedger({ id, project: project.name, repository, workdir, configPath });
    const { path, branch, adopted } = plan;
    const entry = { kind: "worktree" as const, state: "creating" as const, at: ledger.createdAt };
    ledger.resources.push({ ...entry, data: { path, branch, adopted, repository } });
    await writeLedger(paths, ledger);
    if (!adopted) {
      const label = (): string => `${path} on ${branch}`;
      await withStep(progress, "worktree", () => makeWorktree(plan, { machine, id }), label);
    }
    await requireConfig(configPath, project, plan);
    await copyOverrides(folder, workdir);
  });
  return { project: await openProject({ config: configPath, env: project.env }), worktree: plan };
}

/** The worktree that a stack's ledger tells of. */
function planOf(ledger: Ledger): WorktreePlan | undefined {
  const { path, branch, adopted, repository } = entryOf(ledger, "worktree") ?? {};
  if (typeof path !== "string") return undefined;
  return { path, branch: String(branch), adopted: adopted === true, repository: String(repository) };
}

function requireSamePlace(request: WorktreeRequest, { path, branch }: WorktreePlan, id: number): void {
  const same =
    request.kind === "adopt"
      ? request.path === path
      : request.kind === "pr"
        ? branch === `pr-${request.number}`
        : request.branch === undefined || request.branch === branch;
  if (same) return;
  throw new HarnessError("WORKTREE_TAKEN", `Agent ${id} runs in ${path} on the branch ${branch}.`, {
    hint: `Leave the option away to launch it there. For another branch, another id, or first: agent-harness teardown ${id}`,
    leftBehind: "everything: nothing was touched",
    context: { id, path, branch },
  });
}

const hasNone = (id: number): HarnessError =>
  new HarnessError("WORKTREE_TAKEN", `Agent ${id} has a stack without a worktree.`, {
    hint: `Launch another id with --worktree, or first: agent-harness teardown ${id}`,
    leftBehind: "everything: nothing was touched",
  });

/** A worktree holds what is committed; a config that is not cannot be in it. */
async function requireConfig(configPath: string, project: Project, { path, branch }: WorktreePlan): Promise<void> {
  if ((await findText(configPath)) !== undefined) return;
  throw new HarnessError("CONFIG_NOT_FOUND", `The branch ${branch} has no ${relative(path, configPath)}.`, {
    hint: `Commit ${project.path}, or begin at a commit that has it: --base <ref>. The worktree goes with: agent-harness teardown`,
    leftBehind: `the worktree ${path}`,
    context: { configPath },
  });
}

/** What differs between machines is not committed, and holds for every worktree on this one. */
async function copyOverrides(from: string, to: string): Promise<void> {
  if (dirname(from) === to) return;
  try {
    await copyFile(join(from, overridesFileName), join(to, overridesFileName));
  } catch (error) {
    if (errorNumber(error) !== "ENOENT") throw error;
  }
}
