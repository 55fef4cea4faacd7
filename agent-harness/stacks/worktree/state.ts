import { git, tryGit, zeroEnded } from "../git.ts";
import { detachedHead } from "./records.ts";

/** What would be lost with a worktree. */
export interface UnsavedWork {
  /** Changed or new files that no commit has. */
  files: string[];
  /** Commits that neither a remote nor another branch of this repository has. */
  commits: number;
  /** Whether its HEAD is on no branch, so that commits of its own go with it. */
  detached?: boolean;
}

export interface UnsavedOptions {
  /** A branch that is to be deleted too. */
  branch?: string | undefined;
}

/** Looks for work that only this worktree has. Files that git ignores do not count. */
export async function findUnsavedWork(path: string, { branch }: UnsavedOptions = {}): Promise<UnsavedWork> {
  const status = await git(path, ["status", "--porcelain=v1", "-z", "--untracked-files=all"]);
  const on = await tryGit(path, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
  const branches = [on, branch].flatMap((one) => one ?? []);
  // There is none before the first commit of a branch that begins anew.
  const head = await tryGit(path, ["rev-parse", "--verify", "--quiet", "HEAD"]);
  const commits = await countOwnCommits(path, { commits: head === undefined ? [] : [head], branches });
  return { files: filesOf(status), commits, ...(on === undefined ? { detached: true } : {}) };
}

/** Looks for commits that go with git's record of a worktree whose files are gone already, and with its branch. */
export async function findUnsavedCommits(
  repository: string,
  { gitFolder, branch }: UnsavedOptions & { gitFolder?: string | undefined },
): Promise<UnsavedWork> {
  const head = gitFolder === undefined ? undefined : await detachedHead(gitFolder);
  const tips = { commits: head === undefined ? [] : [head], branches: branch === undefined ? [] : [branch] };
  return {
    files: [],
    commits: await countOwnCommits(repository, tips),
    ...(head === undefined ? {} : { detached: true }),
  };
}

/** The names in `git status --porcelain=v1 -z`: what is new, changed or renamed, under its new name. */
export function filesOf(status: string): string[] {
  const parts = zeroEnded(status);
  const files: string[] = [];
  for (let at = 0; at < parts.length; at += 1) {
    const part = parts[at] ?? "";
    files.push(part.slice(3));
    // The old name of a renamed or copied file is a part of its own.
    if (/^(?:[RC].|.[RC])/.test(part)) at += 1;
  }
  return files;
}

async function countOwnCommits(
  folder: string,
  { commits, branches }: { commits: readonly string[]; branches: readonly string[] },
): Promise<number> {
  const known = await Promise.all(
    branches.map((one) => tryGit(folder, ["rev-parse", "--verify", "--quiet", `refs/heads/${one}`])),
  );
  const tips = [...commits, ...known.flatMap((one) => one ?? [])];
  if (tips.length === 0) return 0;
  // What was fetched of a pull request is origin's; see request.ts.
  const saved = [
    "--remotes",
    "--glob=refs/agent-harness/*",
    ...branches.map((one) => `--exclude=${one}`),
    "--branches",
  ];
  return Number(await git(folder, ["rev-list", "--count", ...tips, "--not", ...saved]));
}

/** Whether there is anything to lose. */
export const isUnsaved = ({ files, commits }: UnsavedWork): boolean => files.length > 0 || commits > 0;

/** Unsaved work in words: what, and how much of it. */
export function describeUnsaved({ files, commits, detached }: UnsavedWork): string {
  const shown = files.slice(0, 5).map(shownName).join(", ") + (files.length > 5 ? " …" : "");
  const where = detached === true ? "no branch and no remote has" : "no remote and no other branch has";
  return [
    ...(files.length > 0 ? [`${files.length} uncommitted file${files.length === 1 ? "" : "s"} (${shown})`] : []),
    ...(commits > 0 ? [`${commits} commit${commits === 1 ? "" : "s"} that ${where}`] : []),
  ].join(" and ");
}

/** A name may hold anything, and goes to a terminal. */
const shownName = (name: string): string => (/^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(name) ? name : JSON.stringify(name));
