import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { findText } from "../../shared/files.ts";
import { tryGit } from "../git.ts";

/** What git keeps of one worktree in a folder of its own inside the repository; it stays when the files are deleted. */
export interface WorktreeRecord {
  /** Git's own folder for it. */
  gitFolder: string;
  path: string;
  /** Whether its files are there, and not only the record. */
  there: boolean;
}

/** Git's records of a repository's worktrees, without the main checkout; none where there is no repository any more. */
export async function listRecords(repository: string): Promise<WorktreeRecord[]> {
  const common = await tryGit(repository, ["rev-parse", "--path-format=absolute", "--git-common-dir"]);
  if (common === undefined) return [];
  const folder = join(common, "worktrees");
  // Most repositories have none; into one that is another user's we do not look.
  const names = await readdir(folder).catch(() => []);
  return (await Promise.all(names.map((name) => readRecord(join(folder, name))))).flatMap((one) => one ?? []);
}

async function readRecord(gitFolder: string): Promise<WorktreeRecord | undefined> {
  // Git's own pointer to the link in the worktree, which points back.
  const link = (await findText(join(gitFolder, "gitdir")).catch(() => undefined))?.trimEnd();
  if (link === undefined || link === "") return undefined;
  const there = (await findText(link).catch(() => undefined))?.trimEnd() === `gitdir: ${gitFolder}`;
  return { path: dirname(link), gitFolder, there };
}

/** The commit that a record's HEAD names itself, on no branch; undefined where it is on one, or on nothing yet. */
export async function detachedHead(gitFolder: string): Promise<string | undefined> {
  const head = (await findText(join(gitFolder, "HEAD")))?.trim();
  return head === undefined || head.startsWith("ref: ") || /^0*$/.test(head) ? undefined : head;
}

/** Whether somebody told git to keep its record. Git locks one itself while it makes the worktree, and may be killed then. */
export async function isLocked(gitFolder: string): Promise<boolean> {
  const reason = await findText(join(gitFolder, "locked"));
  return reason !== undefined && reason.trim() !== "initializing";
}
