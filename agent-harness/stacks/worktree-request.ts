import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { ProjectConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import { git, tryGit } from "./git.ts";

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
  /** The commit that a new branch begins at; absent where the branch is there already. */
  start?: string;
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
  const path = join(resolve(expandHome(config.root)), `agent-${id}`);
  if (request.kind === "pr")
    return { path, repository, adopted: false, ...(await fetchPullRequest(repository, request.number)) };
  const branch = request.branch ?? fill(config.branch);
  await requireBranchName(repository, branch);
  const start = await commitOf(repository, request.base ?? "HEAD");
  const head = await tryGit(repository, ["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`]);
  if (head === undefined) return { path, repository, branch, start, adopted: false };
  // A branch that was named is wanted as it is; one of the usual name may be an earlier agent's work.
  if (request.branch === undefined) await requireNothingOwn(repository, branch, start, id);
  return { path, repository, branch, adopted: false, ...(request.branch === undefined ? { start } : {}) };
}

const expandHome = (path: string): string =>
  path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;

async function planAdoption(given: string, repository: string): Promise<WorktreePlan> {
  const path = await tryGit(resolve(given), ["rev-parse", "--show-toplevel"]);
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

/** GitHub keeps the head of each pull request under a ref of its own; a fork's branch need not be known for it. */
async function fetchPullRequest(repository: string, number: number): Promise<{ branch: string; start: string }> {
  const ref = `refs/agent-harness/pr-${number}`;
  await git(repository, ["fetch", "--quiet", "origin", `+refs/pull/${number}/head:${ref}`]);
  return { branch: `pr-${number}`, start: await commitOf(repository, ref) };
}

async function requireBranchName(repository: string, branch: string): Promise<void> {
  if ((await tryGit(repository, ["check-ref-format", "--branch", branch])) !== undefined) return;
  throw new HarnessError("USAGE", `"${branch}" is no name for a branch.`, {
    hint: "Give another one: launch <id> --worktree my-branch",
  });
}

async function commitOf(repository: string, ref: string): Promise<string> {
  const commit = await tryGit(repository, ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`]);
  if (commit !== undefined) return commit;
  throw new HarnessError("GIT_REF_NOT_FOUND", `There is no commit "${ref}" in ${repository}.`, {
    hint: "Fetch it first, or name another one with --base.",
  });
}

/** An earlier agent's commits must neither be gone on with unnoticed nor be lost. */
async function requireNothingOwn(repository: string, branch: string, start: string, id: number): Promise<void> {
  const own = (await git(repository, ["rev-list", `${start}..refs/heads/${branch}`])).split("\n").filter(Boolean);
  if (own.length === 0) return;
  const commits = `${own.length} commit${own.length === 1 ? "" : "s"}`;
  throw new HarnessError("BRANCH_TAKEN", `The branch ${branch} is there already, with ${commits} of its own.`, {
    hint: `To go on with them: agent-harness launch ${id} --worktree ${branch}. For a new branch: agent-harness launch ${id} --worktree <name>`,
    leftBehind: "everything: nothing was touched",
    context: { branch, commits: own.length },
  });
}
