import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir, rename, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { errorNumber, HarnessError } from "../../shared/errors.ts";
import { findText, writeFileAtomic } from "../../shared/files.ts";
import { removeFolder } from "../../shared/paths.ts";
import { git, tryGit } from "../git.ts";
import { detachedHead, isLocked, listRecords } from "./records.ts";
import type { WorktreePlan } from "./request.ts";

/* A worktree of ours carries a stamp in git's own folder for it, where no status and no commit ever sees it. */

const stampName = "agent-harness.json";
const stampSchema = z.object({ machine: z.string(), id: z.int(), state: z.enum(["checking-out", "complete"]) });
type WorktreeStamp = z.output<typeof stampSchema>;

/** Whose a worktree is: this harness and the agent. */
export interface WorktreeOwner {
  machine: string;
  id: number;
}

/** A worktree that we made, found by its stamp. */
export interface OwnWorktree {
  path: string;
  /** Git's own folder for it, inside the repository. */
  gitFolder: string;
  complete: boolean;
}

/** Finds the worktree at a path if it is this owner's; also one whose making was killed before its stamp was written. */
export async function findOwnWorktree(path: string, owner: WorktreeOwner): Promise<OwnWorktree | undefined> {
  if (!(await isThere(join(path, ".git")))) return undefined;
  const gitFolder = await tryGit(path, ["rev-parse", "--absolute-git-dir"]);
  if (gitFolder === undefined) return undefined;
  const stamp = await findStamp(gitFolder);
  if (stamp === undefined) return (await isBare(path)) ? { path, gitFolder, complete: false } : undefined;
  const ours = stamp.machine === owner.machine && stamp.id === owner.id;
  return ours ? { path, gitFolder, complete: stamp.state === "complete" } : undefined;
}

/**
 * Makes a worktree; one that is complete is left as it is, one whose making was killed is made anew. WORKTREE_TAKEN for a
 * folder that is not ours, BRANCH_TAKEN for a branch that another worktree has.
 */
export async function makeWorktree(plan: WorktreePlan, owner: WorktreeOwner): Promise<{ gitFolder: string }> {
  const known = await findOwnWorktree(plan.path, owner);
  if (known?.complete) return { gitFolder: known.gitFolder };
  if (known !== undefined) {
    // Git may have been killed too, in the middle of a file and with its locks in place; nobody can have worked in it.
    await discardWorktree(known);
    await emptyWorktreeTrash(trashOf(plan.path));
  }
  await forgetGone(plan);
  await requireFree(plan, owner.id);
  await add(plan);
  const gitFolder = (await git(plan.path, ["rev-parse", "--absolute-git-dir"])).trimEnd();
  await writeStamp(gitFolder, { ...owner, state: "checking-out" });
  await git(plan.path, ["reset", "--hard", "--quiet"]);
  await writeStamp(gitFolder, { ...owner, state: "complete" });
  return { gitFolder };
}

async function add({ repository, path, branch, start, head }: WorktreePlan): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const now = await tryGit(repository, ["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`]);
  // A branch that has moved since the plan was made has commits that must not be lost.
  const isNew = start !== undefined && (now === undefined || now === head);
  // Without files at first: they come when the stamp is there, so that a killed checkout is known for what it is.
  const target = isNew ? ["-B", branch, path, start] : [path, branch];
  await git(repository, ["worktree", "add", "--no-checkout", "--quiet", ...target]);
}

/** Deletes git's record of a worktree that was here and whose files are gone: with it the path and the branch stay taken. */
async function forgetGone({ repository, path }: WorktreePlan): Promise<void> {
  for (const record of await listRecords(repository)) {
    if (record.path !== path || record.there || (await isLocked(record.gitFolder))) continue;
    // Commits on no branch: nothing but the record names them.
    if ((await detachedHead(record.gitFolder)) !== undefined) continue;
    await forgetWorktree(record.gitFolder);
  }
}

/** Throws WORKTREE_TAKEN or BRANCH_TAKEN when a worktree that is to be made, or is ours already, cannot be. */
export async function requireMakeable(plan: WorktreePlan, owner: WorktreeOwner): Promise<void> {
  const known = await findOwnWorktree(plan.path, owner);
  if (known === undefined) return await requireFree(plan, owner.id);
  const records = await listRecords(plan.repository);
  if (!records.some((one) => one.gitFolder === known.gitFolder)) throw foreign(plan.path, owner.id);
  const branch = await tryGit(plan.path, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
  if (!known.complete || branch === plan.branch) return;
  throw new HarnessError(
    "WORKTREE_TAKEN",
    `${plan.path} is there from an earlier launch, ${branch === undefined ? "on no branch" : `on the branch ${branch}`}.`,
    {
      hint: `To go on there: agent-harness launch ${owner.id} --adopt ${plan.path}. To have it taken away unless it holds work: agent-harness gc`,
      leftBehind: "everything: nothing was touched",
      context: { path: plan.path, branch },
    },
  );
}

const foreign = (path: string, id: number): HarnessError =>
  new HarnessError("WORKTREE_TAKEN", `${path} exists, and it is no worktree that agent-harness made for agent ${id}.`, {
    hint: `To use it as it is, if it is a worktree of this repository: agent-harness launch ${id} --adopt ${path}. Else move it away, or set worktree.root in agent-harness.yml.`,
    leftBehind: "that folder as it was",
    context: { path },
  });

async function requireFree({ repository, path, branch }: WorktreePlan, id: number): Promise<void> {
  if (await isTaken(path)) throw foreign(path, id);
  // At this very path it is a record that is forgotten before a new one is made.
  const holder = (await listWorktrees(repository)).find((one) => one.branch === branch && one.path !== path);
  if (holder === undefined) return;
  if (!(await isThere(holder.path))) {
    throw new HarnessError(
      "BRANCH_TAKEN",
      `For git the branch ${branch} is checked out in ${holder.path}, which is gone.`,
      {
        hint: `Run: git -C ${repository} worktree prune`,
        leftBehind: "everything: nothing was touched",
        context: { branch, path: holder.path },
      },
    );
  }
  throw new HarnessError("BRANCH_TAKEN", `The branch ${branch} is checked out in ${holder.path}.`, {
    hint: `To use that folder: agent-harness launch ${id} --adopt ${holder.path}. Or name another branch: agent-harness launch ${id} --worktree <name>`,
    leftBehind: "everything: nothing was touched",
    context: { branch, path: holder.path },
  });
}

/** Every worktree of a repository, the main checkout first. */
export async function listWorktrees(repository: string): Promise<{ path: string; branch?: string }[]> {
  const text = await git(repository, ["worktree", "list", "--porcelain", "-z"]);
  return text
    .split("\0\0")
    .map((part) => part.split("\0"))
    .flatMap((lines) => {
      const path = lines.find((line) => line.startsWith("worktree "))?.slice("worktree ".length);
      const branch = lines.find((line) => line.startsWith("branch refs/heads/"))?.slice("branch refs/heads/".length);
      return path === undefined ? [] : [{ path, ...(branch === undefined ? {} : { branch }) }];
    });
}

/**
 * Takes a worktree out of use at once: a rename into a trash beside it, then git forgets it. The branch stays. Returns
 * where its files are until the trash is emptied.
 */
export async function discardWorktree({ path, gitFolder }: OwnWorktree): Promise<string> {
  const trash = join(trashOf(path), `${basename(path)}-${randomBytes(4).toString("hex")}`);
  await moveInto(trash, path);
  await forgetWorktree(gitFolder);
  return trash;
}

/** Who empties the trash deletes it too, perhaps just after we have made it. */
async function moveInto(trash: string, path: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    await mkdir(dirname(trash), { recursive: true, mode: 0o700 });
    try {
      return await rename(path, trash);
    } catch (error) {
      if (errorNumber(error) !== "ENOENT" || tries === 5 || !(await isThere(path))) throw error;
    }
  }
}

/** Deletes git's own folder for a worktree whose files are gone. Only this one: `git worktree prune` would take others too. */
export async function forgetWorktree(gitFolder: string): Promise<void> {
  await removeFolder(gitFolder, dirname(gitFolder));
}

/** Where discarded worktrees wait to be deleted: beside them, since a rename cannot leave its file system. */
export const trashOf = (path: string): string => join(dirname(path), trashFolder);

const trashFolder = ".agent-harness-trash";

/** Deletes what lies in a trash, and the trash; refuses any other folder. */
export async function emptyWorktreeTrash(trash: string): Promise<void> {
  if (basename(trash) !== trashFolder) {
    throw new HarnessError("USAGE", `${trash} is no trash of agent-harness.`, { hint: "Nothing was touched." });
  }
  const names = await readdir(trash).catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return [];
    throw error;
  });
  for (const name of names) await removeFolder(join(trash, name), trash);
  // Not empty: another worktree was discarded meanwhile, and whoever did that empties it.
  await rmdir(trash).catch((error: unknown) => {
    if (!["ENOTEMPTY", "ENOENT"].includes(errorNumber(error) ?? "")) throw error;
  });
}

/** The stamp in git's own folder for a worktree; undefined where there is none of ours. */
export async function findStamp(gitFolder: string): Promise<WorktreeStamp | undefined> {
  const text = await findText(join(gitFolder, stampName));
  if (text === undefined) return undefined;
  try {
    return stampSchema.parse(JSON.parse(text));
  } catch {
    // Not one that we write: not ours.
    return undefined;
  }
}

const writeStamp = (gitFolder: string, stamp: WorktreeStamp): Promise<void> =>
  writeFileAtomic(join(gitFolder, stampName), `${JSON.stringify(stamp)}\n`);

/** Whether there is nothing in a worktree but its link to the repository. */
async function isBare(path: string): Promise<boolean> {
  const names = await readdir(path);
  return names.length === 1 && names[0] === ".git" && (await stat(join(path, ".git"))).isFile();
}

/** Whether something is at a path that git would not make a worktree in; an empty folder is fine. */
async function isTaken(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length > 0;
  } catch (error) {
    return errorNumber(error) !== "ENOENT" || (await isThere(path));
  }
}

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );
