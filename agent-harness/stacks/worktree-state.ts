import { git, tryGit } from "./git.ts";

/** What would be lost with a worktree. */
export interface UnsavedWork {
  /** Changed or new files that no commit has. */
  files: string[];
  /** Commits that neither a remote nor another branch of this repository has. */
  commits: number;
}

/** Looks for work that only this worktree has. Files that git ignores do not count. */
export async function findUnsavedWork(path: string): Promise<UnsavedWork> {
  const status = await git(path, ["status", "--porcelain=v1", "--untracked-files=all"]);
  const files = status.split("\n").flatMap((line) => (line === "" ? [] : [line.slice(3)]));
  return { files, commits: await countOwnCommits(path) };
}

async function countOwnCommits(path: string): Promise<number> {
  const branch = await tryGit(path, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
  const others = branch === undefined ? [] : [`--exclude=${branch}`];
  const text = await tryGit(path, ["rev-list", "--count", "HEAD", "--not", "--remotes", ...others, "--branches"]);
  return Number(text ?? 0);
}

/** Whether there is anything to lose. */
export const isUnsaved = ({ files, commits }: UnsavedWork): boolean => files.length > 0 || commits > 0;

/** Unsaved work in words: what, and how much of it. */
export function describeUnsaved({ files, commits }: UnsavedWork): string {
  const shown = files.slice(0, 5).join(", ") + (files.length > 5 ? " …" : "");
  return [
    ...(files.length > 0 ? [`${files.length} uncommitted file${files.length === 1 ? "" : "s"} (${shown})`] : []),
    ...(commits > 0 ? [`${commits} commit${commits === 1 ? "" : "s"} that no remote and no other branch has`] : []),
  ].join(" and ");
}
