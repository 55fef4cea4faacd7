import { join, relative } from "node:path";
import { resolveInfra } from "../infra/index.ts";
import { overridesFileName } from "../shared/config-overrides.ts";
import { HarnessError } from "../shared/errors.ts";
import { findText, writeFileAtomic } from "../shared/files.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, withStep } from "../shared/progress.ts";
import { emptyLedger } from "./empty-ledger.ts";
import { tryGit } from "./git.ts";
import { excludeFromGit } from "./git-exclude.ts";
import { findLedger, type Ledger, removeLedger, writeLedger } from "./ledger.ts";
import { openProject, type Project } from "./project.ts";
import { claimId, listClaims, releaseId, requireNotOthers } from "./registry.ts";
import { fill } from "./render.ts";
import { entryOf } from "./resource.ts";
import { recallWorktree } from "./resources/worktree.ts";
import { withStackLock } from "./stack-lock.ts";
import { findOwnWorktree, makeWorktree, requireMakeable, type WorktreeOwner } from "./worktree/make.ts";
import { planWorktree, topOf, type WorktreePlan, type WorktreeRequest } from "./worktree/request.ts";

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

/** The worktree of a stack, and where the project lies in it. */
interface Place {
  plan: WorktreePlan;
  workdir: string;
  configPath: string;
  /** What is known of the stack already; undefined also where that was lost. */
  ledger?: Ledger;
  isNew: boolean;
}

/**
 * Makes or finds the worktree of a launch and opens the project in it, with the config that lies there. One whose files are
 * gone, or whose making was killed, is made again.
 */
export async function enterWorktree(options: EnterOptions): Promise<EnteredProject> {
  const { project, id, worktree: request, progress } = options;
  if (request === undefined && (await findPlace(project, id)) === undefined) return { project, worktree: undefined };
  return await withStackLock(project.paths, id, progress, async () => {
    await requireOfThisRepository(project, id);
    const known = await findPlace(project, id);
    if (known !== undefined && request !== undefined) await requireSamePlace(request, known.plan, id);
    const place = known ?? (request && (await newPlace(options, request)));
    // Torn down while this one waited for it.
    if (place === undefined) return { project, worktree: undefined };
    await prepare(place, options);
    return { project: await openProject({ config: place.configPath, env: project.env }), worktree: place.plan };
  });
}

/** Whether the install of a stack's worktree has been done. */
export async function isInstalled(paths: HomePaths, id: number): Promise<boolean> {
  const known = await findLedger(paths, id);
  return known !== undefined && entryOf(known, "install")?.["done"] === true;
}

/** Two repositories may make their worktrees in one folder: the path alone does not tell whose an agent is. */
async function requireOfThisRepository({ paths, repository, folder }: Project, id: number): Promise<void> {
  const holders = [await findLedger(paths, id), (await listClaims(paths)).find((one) => one.id === id)];
  if (holders.some((one) => one !== undefined && one.repository !== repository)) {
    await requireNotOthers(paths, { id, workdir: folder });
  }
}

async function findPlace(project: Project, id: number): Promise<Place | undefined> {
  const { paths, repository } = project;
  const ledger = await findLedger(paths, id);
  if (ledger !== undefined) {
    const plan = ledger.repository === repository ? planOf(entryOf(ledger, "worktree")) : undefined;
    const { workdir, configPath } = ledger;
    return plan === undefined ? undefined : { plan, workdir, configPath, ledger, isNew: false };
  }
  const claim = (await listClaims(paths)).find((one) => one.id === id);
  if (claim?.repository !== repository) return undefined;
  // The ledger was lost: the worktree itself knows whose it is.
  const plan = planOf(await recallWorktree(repository, await ownerOf(project, id)));
  const { workdir, configPath } = claim;
  return plan === undefined ? undefined : { plan, workdir, configPath, isNew: false };
}

async function ownerOf({ paths, config, env }: Project, id: number): Promise<WorktreeOwner> {
  return { machine: (await resolveInfra(paths, config.infra, env)).machine, id };
}

/** Works out a worktree that is asked for; refuses one that cannot be made before anything is written. */
async function newPlace({ project, id }: EnterOptions, request: WorktreeRequest): Promise<Place> {
  const { paths, repository, config, folder } = project;
  if ((await findLedger(paths, id)) !== undefined) throw hasNone(id);
  const inside = await tryGit(folder, ["rev-parse", "--show-prefix"]);
  if (inside === undefined) {
    throw new HarnessError("USAGE", `${folder} is in no git repository, so there can be no worktree of it.`, {
      hint: `Run: git init, and commit. Or launch it where it is: agent-harness launch ${id}`,
    });
  }
  const named = { id, project: project.name };
  const fillBranch = (text: string): string => fill(text, named, "worktree.branch");
  const plan = await planWorktree({ id, request, repository, config: config.worktree, fill: fillBranch });
  if (!plan.adopted) await requireMakeable(plan, await ownerOf(project, id));
  // Ends in a slash, unless it is empty.
  const workdir = join(plan.path, inside.replace(/\/$/, ""));
  return { plan, workdir, configPath: join(workdir, relative(folder, project.path)), isNew: true };
}

async function prepare(place: Place, options: EnterOptions): Promise<void> {
  const { plan, configPath, isNew } = place;
  const { project, id } = options;
  const ledger = isNew ? await writeDown(place, options) : place.ledger;
  if (!plan.adopted) await ensureMade(place, ledger, options);
  try {
    await requireConfig(configPath, project, { ...plan, id });
  } catch (error) {
    if (isNew && ledger !== undefined) await writeLedger(project.paths, Object.assign(ledger, { status: "failed" }));
    throw error;
  }
  if (ledger === undefined || entryOf(ledger, "install")?.["done"] !== true) await copyOverrides(project.folder, place);
}

async function writeDown({ plan, workdir, configPath }: Place, { project, id }: EnterOptions): Promise<Ledger> {
  const { paths, repository, name } = project;
  await claimId(paths, { id, repository, project: name, workdir, configPath });
  const ledger = emptyLedger({ id, project: name, repository, workdir, configPath });
  ledger.resources.push({ kind: "worktree", state: "creating", at: ledger.createdAt, data: { ...plan } });
  await writeLedger(paths, ledger);
  return ledger;
}

async function ensureMade({ plan, isNew }: Place, ledger: Ledger | undefined, options: EnterOptions): Promise<void> {
  const { project, id, progress } = options;
  const { paths } = project;
  const owner = await ownerOf(project, id);
  if ((await findOwnWorktree(plan.path, owner))?.complete) return;
  if (ledger !== undefined) {
    // What is made anew has to be installed anew.
    ledger.resources = ledger.resources.filter((one) => one.kind !== "install");
    await writeLedger(paths, ledger);
  }
  try {
    await withStep(
      progress,
      "worktree",
      () => makeWorktree(plan, owner),
      () => `${plan.path} on ${plan.branch}`,
    );
  } catch (error) {
    // Nothing was made: an id that holds nothing would only be in the way.
    if (isNew && (await findOwnWorktree(plan.path, owner)) === undefined) {
      await releaseId(paths, id);
      await removeLedger(paths, id);
    }
    throw error;
  }
}

/** The worktree that a ledger tells of. */
function planOf(data: Record<string, unknown> | undefined): WorktreePlan | undefined {
  const { path, branch, adopted, repository, start, head } = data ?? {};
  if (typeof path !== "string") return undefined;
  return {
    path,
    branch: String(branch ?? "(no branch)"),
    adopted: adopted === true,
    repository: String(repository),
    ...(typeof start === "string" ? { start } : {}),
    ...(typeof head === "string" ? { head } : {}),
  };
}

async function requireSamePlace(request: WorktreeRequest, { path, branch }: WorktreePlan, id: number): Promise<void> {
  const same =
    request.kind === "adopt"
      ? request.path === path || (await topOf(request.path)) === path
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
async function requireConfig(
  configPath: string,
  project: Project,
  { path, branch, adopted, id }: WorktreePlan & { id: number },
): Promise<void> {
  if ((await findText(configPath)) !== undefined) return;
  const file = relative(path, configPath);
  const inMain = join(project.repository, file);
  throw new HarnessError("CONFIG_NOT_FOUND", `The branch ${branch} has no ${file}.`, {
    hint: `Run: agent-harness teardown ${id}. Then commit ${inMain}, or begin at a commit that has it (--base <ref>), and launch again.`,
    leftBehind: adopted ? `the worktree ${path} as it was` : `the worktree ${path}`,
    context: { configPath },
  });
}

/** What differs between machines is not committed, and holds for every worktree on this one; one that is there stays. */
async function copyOverrides(from: string, { workdir: to, plan }: Place): Promise<void> {
  const target = join(to, overridesFileName);
  if ((await findText(target)) !== undefined) return;
  const text = await findText(join(from, overridesFileName));
  if (text === undefined) return;
  // Where the project does not ignore it, it would count as work.
  await excludeFromGit(plan.path);
  await writeFileAtomic(target, text);
}
