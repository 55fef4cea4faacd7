import { realpath } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { ProjectConfig } from "../../shared/config-schema.ts";
import { errorNumber, HarnessError } from "../../shared/errors.ts";
import { git, tryGit } from "../git.ts";

/** What a launch asks for in the way of a worktree. */
export type WorktreeRequest =
  | { kind: "branch"; branch?: string | undefined; base?: string | undefined }
  | { kind: "pr"; number: number }
  | { kind: "adopt"; path: string };

/** A worktree to be made, or one to be used as it is. */
export interface WorktreePlan {
  /** Its folder, absolute. */
  path: string;
  /** The main folder of the repository. */
  repository: string;
  branch: string;
  /** The commit that a new branch begins at; absent where the branch is there already and wanted as it is. */
  start?: string;
  /** Where a branch was that has nothing of its own and is to begin anew at `start`. */
  head?: string;
  /** Somebody else made it: it is never removed. */
  adopted: boolean;
}

export interface PlanRequest {
  id: number;
  request: WorktreeRequest;
  repository: string;
  config: ProjectConfig["worktree"];
  /** Fills `{{id}}` and `{{project}}` of the configured branch in. */
  fill: (text: string) => string;
}

/** Works out which worktree is meant and what its branch begins at; makes nothing but what `--pr` has to fetch. */
export async function planWorktree(options: PlanRequest): Promise<WorktreePlan> {
  const { request, repository, id, config, fill } = options;
  if (request.kind === "adopt") return await planAdoption(request.path, repository);
  // As git will name it, so that whatever lies in it is seen to.
  const path = join(await realpathOf(worktreeRoot(config, repository)), `agent-${id}`);
  if (request.kind === "pr")
    return { path, repository, adopted: false, ...(await planPullRequest(repository, request.number, id)) };
  const branch = request.branch ?? fill(config.branch);
  await requireBranchName(repository, branch);
  const head = await findCommit(repository, `refs/heads/${branch}`);
  if (request.branch !== undefined && head !== undefined) {
    requireNoBase(branch, request.base, id);
    // One that was named is wanted as it is.
    return { path, repository, branch, adopted: false };
  }
  const start = await startOf(repository, request);
  // One of the usual name may be an earlier agent's work.
  if (head !== undefined) await requireNothingOwn(repository, { branch, not: [start], id });
  return { path, repository, branch, start, adopted: false, ...(head === undefined ? {} : { head }) };
}

/** The folder in which the worktrees of a project are made; a relative one is beside or below the repository's main folder. */
export const worktreeRoot = (
  { root }: Pick<ProjectConfig["worktree"], "root">,
  repository: string = process.cwd(),
): string => resolve(repository, expandHome(root));

/** The real path of what may not be there yet. */
async function realpathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorNumber(error) !== "ENOENT" || dirname(path) === path) throw error;
    return join(await realpathOf(dirname(path)), basename(path));
  }
}

const expandHome = (path: string): string =>
  path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;

/** The worktree, or main checkout, that a folder lies in. */
export const topOf = (folder: string): Promise<string | undefined> =>
  tryGit(resolve(folder), ["rev-parse", "--show-toplevel"]);

async function planAdoption(given: string, repository: string): Promise<WorktreePlan> {
  const path = await topOf(given);
  const common = path && (await tryGit(path, ["rev-parse", "--path-format=absolute", "--git-common-dir"]));
  const own = await tryGit(repository, ["rev-parse", "--path-format=absolute", "--git-common-dir"]);
  if (path === undefined || common !== own) {
    throw new HarnessError("GIT_REF_NOT_FOUND", `${resolve(given)} is no worktree of ${repository}.`, {
      hint: `These are: git -C ${repository} worktree list`,
    });
  }
  const branch = await tryGit(path, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
  return { path, repository, branch: branch ?? "(no branch)", adopted: true };
}

/** Where the head of a pull request is kept that a branch of ours began at: what it holds is origin's, no agent's work. */
export const fetchedRef = (branch: string): string => `refs/agent-harness/${branch}`;

/** GitHub keeps the head of each pull request under a ref of its own; a fork's branch need not be known for it. */
async function planPullRequest(
  repository: string,
  number: number,
  id: number,
): Promise<Pick<WorktreePlan, "branch" | "start" | "head">> {
  const branch = `pr-${number}`;
  const ref = fetchedRef(branch);
  const before = await findCommit(repository, ref);
  await git(repository, ["fetch", "--quiet", "origin", `+refs/pull/${number}/head:${ref}`]);
  const start = await commitOf(repository, ref);
  const head = await findCommit(repository, `refs/heads/${branch}`);
  if (head === undefined) return { branch, start };
  // What it was at the last time is no work of ours, also when it was pushed anew with force.
  await requireNothingOwn(repository, { branch, not: [start, ...(before === undefined ? [] : [before])], id });
  return { branch, start, head };
}

/** What a new branch begins at: what was asked for, else origin's branch of that name, else HEAD. */
async function startOf(
  repository: string,
  { branch, base }: { branch?: string | undefined; base?: string | undefined },
) {
  if (base !== undefined) return await commitOf(repository, base);
  const published = branch && (await findCommit(repository, `refs/remotes/origin/${branch}`));
  return published ?? (await commitOf(repository, "HEAD"));
}

function requireNoBase(branch: string, base: string | undefined, id: number): void {
  if (base === undefined) return;
  throw new HarnessError("BRANCH_TAKEN", `The branch ${branch} is there already; --base is for a new one.`, {
    hint: `To go on with it: agent-harness launch ${id} --worktree ${branch}. Else name another branch.`,
    leftBehind: "everything: nothing was touched",
    context: { branch, base },
  });
}

/** Git allows some that a shell would not take as they are, and our hints are there to be copied. */
const forShells = /[;&|<>`$"']/;

async function requireBranchName(repository: string, branch: string): Promise<void> {
  // Git answers `@{-1}` with the name of another branch.
  const name = await tryGit(repository, ["check-ref-format", "--branch", branch]);
  if (name === branch && !forShells.test(branch)) return;
  throw new HarnessError("USAGE", `"${branch}" is no name for a branch.`, {
    hint: "Give another one: launch <id> --worktree my-branch",
  });
}

async function findCommit(repository: string, ref: string): Promise<string | undefined> {
  // Git would take it for an option.
  if (ref.startsWith("-")) return undefined;
  return await tryGit(repository, ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`]);
}

async function commitOf(repository: string, ref: string): Promise<string> {
  const commit = await findCommit(repository, ref);
  if (commit !== undefined) return commit;
  throw new HarnessError("GIT_REF_NOT_FOUND", `There is no commit "${ref}" in ${repository}.`, {
    hint:
      ref === "HEAD"
        ? "Commit first: a worktree holds what is committed."
        : "Fetch it first, or name another one with --base.",
  });
}

/** An earlier agent's commits must neither be gone on with unnoticed nor be lost. */
async function requireNothingOwn(
  repository: string,
  { branch, not, id }: { branch: string; not: readonly string[]; id: number },
): Promise<void> {
  const own = Number(await git(repository, ["rev-list", "--count", `refs/heads/${branch}`, "--not", ...not]));
  if (own === 0) return;
  const commits = `${own} commit${own === 1 ? "" : "s"}`;
  throw new HarnessError("BRANCH_TAKEN", `The branch ${branch} is there already, with ${commits} of its own.`, {
    hint: `To go on with them: agent-harness launch ${id} --worktree ${branch}. For a new branch: agent-harness launch ${id} --worktree <name>`,
    leftBehind: "everything: nothing was touched",
    context: { branch, commits: own },
  });
}
