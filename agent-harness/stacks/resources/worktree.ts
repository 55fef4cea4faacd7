import { HarnessError } from "../../shared/errors.ts";
import { type HomePaths, isWithin } from "../../shared/paths.ts";
import { startBehind } from "../behind.ts";
import { git, tryGit } from "../git.ts";
import { listClaims } from "../registry.ts";
import { entryOf, type Resource, type StackContext } from "../resource.ts";
import { findStampedWorktree, listStampedWorktrees, type StampedWorktree, whyWorktreeStays } from "../worktree/find.ts";
import {
  discardWorktree,
  emptyWorktreeTrash,
  findOwnWorktree,
  forgetWorktree,
  makeWorktree,
  type OwnWorktree,
  trashOf,
  type WorktreeOwner,
} from "../worktree/make.ts";
import { isLocked } from "../worktree/records.ts";
import { fetchedRef } from "../worktree/request.ts";
import {
  describeUnsaved,
  findUnsavedCommits,
  findUnsavedWork,
  isUnsaved,
  type UnsavedWork,
} from "../worktree/state.ts";

/** The git worktree of a stack that was launched with one; most stacks run where they were launched and have none. */
export const worktree: Resource = {
  kind: "worktree",

  ensure: async ({ ledger, infra, worktree: plan }) => {
    const known = entryOf(ledger, "worktree") ?? {};
    if (plan === undefined || plan.adopted) return known;
    const { gitFolder } = await makeWorktree(plan, { machine: infra.machine, id: ledger.id });
    return { ...known, gitFolder };
  },

  destroy: async (context) => {
    const found = await findOurs(context);
    if (found !== undefined) await discardWorktree(found);
    // Killed between the two steps of that, or deleted by hand: the files are gone, and git still counts them.
    const gone = await findGone(context);
    if (gone !== undefined) await forgetWorktree(gone.gitFolder);
  },

  exists: async (context) => {
    const found = await findOurs(context);
    if (found !== undefined) return `the worktree ${found.path}`;
    const gone = await findGone(context);
    return gone === undefined ? undefined : `git's record of the worktree ${gone.path}`;
  },

  recall: async ({ ledger, infra }) =>
    await recallWorktree(ledger.repository, { machine: infra.machine, id: ledger.id }),

  listMarked: async (search) => {
    const { machine } = search.infra;
    const found = await Promise.all(search.repositories.map((one) => listStampedWorktrees(one, machine)));
    return found.flat().map((one) => ({
      name: one.there ? one.path : `git's record of ${one.path}`,
      id: one.id,
      whyKept: async () => (await whyShared(search.paths, one)) ?? (await whyWorktreeStays(one)),
      remove: () => removeStamped(one, machine),
    }));
  },
};

async function whyShared(paths: HomePaths, { path, id }: StampedWorktree): Promise<string | undefined> {
  const others = await othersIn(paths, path, id);
  return others.length === 0 ? undefined : `agent ${others.join(", ")} runs in it; agent-harness status ${others[0]}`;
}

async function removeStamped({ path, gitFolder, id, there }: StampedWorktree, machine: string): Promise<void> {
  if (!there) return await forgetWorktree(gitFolder);
  const own = await findOwnWorktree(path, { machine, id });
  if (own !== undefined) await discardWorktree(own);
  await emptyWorktreeTrash(trashOf(path));
}

/** Whether the ledger says that a stack has no worktree of its own: most have none, and git need not be asked. */
function hasNone({ ledger }: StackContext): boolean {
  const entry = entryOf(ledger, "worktree");
  return entry !== undefined && (entry["adopted"] === true || typeof entry["path"] !== "string");
}

async function findOurs(context: StackContext): Promise<OwnWorktree | undefined> {
  if (hasNone(context)) return undefined;
  const { ledger, infra } = context;
  const entry = entryOf(ledger, "worktree");
  const owner = { machine: infra.machine, id: ledger.id };
  // A ledger that is just being rebuilt does not know of it yet.
  const path = entry?.["path"] ?? (await findStampedWorktree(ledger.repository, owner))?.path;
  return typeof path === "string" ? await findOwnWorktree(path, owner) : undefined;
}

/** Git's record of this stack's worktree whose files are gone. */
async function findGone(context: StackContext): Promise<StampedWorktree | undefined> {
  if (hasNone(context)) return undefined;
  const { ledger, infra } = context;
  const all = await listStampedWorktrees(ledger.repository, infra.machine);
  return all.find((one) => one.id === ledger.id && !one.there);
}

/** What the ledger of a stack's worktree says, from the worktree itself; undefined where there is none. */
export async function recallWorktree(
  repository: string,
  owner: WorktreeOwner,
): Promise<Record<string, unknown> | undefined> {
  const found = await findStampedWorktree(repository, owner);
  if (found === undefined) return undefined;
  const { path, gitFolder } = found;
  const branch = await tryGit(path, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
  return { path, branch, adopted: false, repository, gitFolder };
}

/** Throws WORKTREE_TAKEN when another agent's stack runs in this one's worktree: no force may take it from under it. */
export async function requireUnshared(context: StackContext): Promise<void> {
  const found = await findOurs(context);
  if (found === undefined) return;
  const { id } = context.ledger;
  const others = await othersIn(context.paths, found.path, id);
  if (others.length === 0) return;
  const ids = others.join(", ");
  throw new HarnessError(
    "WORKTREE_TAKEN",
    `The worktree ${found.path} of agent ${id} is also where agent ${ids} runs.`,
    {
      hint: `Run first: agent-harness teardown ${ids}`,
      leftBehind: "everything: nothing was touched",
      context: { id, path: found.path, others },
    },
  );
}

/** The other agents whose stacks run in a folder. */
async function othersIn(paths: HomePaths, folder: string, id: number): Promise<number[]> {
  const claims = await listClaims(paths);
  return claims.filter((one) => one.id !== id && isWithin(folder, one.workdir)).map((one) => one.id);
}

/**
 * Throws WORK_UNSAVED when a stack's worktree, or its branch where that goes too, holds work that nothing else has, and
 * WORKTREE_TAKEN when somebody told git to keep it.
 */
export async function requireSavedWork(context: StackContext, { deleteBranch = false } = {}): Promise<void> {
  const found = await findOurs(context);
  if (found !== undefined && (await isLocked(found.gitFolder))) throw lockedError(context.ledger.id, found.path);
  const going = branchOf(context);
  const branch = deleteBranch ? going?.branch : undefined;
  let path: string | undefined;
  let unsaved: UnsavedWork | undefined;
  if (found?.complete) {
    path = found.path;
    unsaved = await findUnsavedWork(path, { branch });
  } else {
    const gone = await findGone(context);
    path = gone?.path ?? String(entryOf(context.ledger, "worktree")?.["path"]);
    const repository = going?.repository ?? context.ledger.repository;
    // Without a repository there is neither a record nor a branch.
    if (gone === undefined && branch === undefined) return;
    unsaved = await findUnsavedCommits(repository, { gitFolder: gone?.gitFolder, branch });
  }
  if (isUnsaved(unsaved)) throw unsavedError(context.ledger.id, path, unsaved);
}

const lockedError = (id: number, path: string): HarnessError =>
  new HarnessError("WORKTREE_TAKEN", `The worktree ${path} of agent ${id} is locked by git.`, {
    hint: `Run: git worktree unlock ${path}, then again: agent-harness teardown ${id}. Or remove it nevertheless: agent-harness teardown ${id} --force`,
    leftBehind: "everything: nothing was touched",
    context: { id, path },
  });

function unsavedError(id: number, path: string, unsaved: UnsavedWork): HarnessError {
  const lose = unsaved.detached
    ? `Put it on a branch (git -C ${path} switch -c <name>), commit and push it. Or lose it, commits too: agent-harness teardown ${id} --force`
    : `Commit and push it. Or lose it: agent-harness teardown ${id} --force (commits stay on their branch unless --delete-branch is given too)`;
  return new HarnessError("WORK_UNSAVED", `The worktree ${path} of agent ${id} has ${describeUnsaved(unsaved)}.`, {
    hint: lose,
    leftBehind: "everything: nothing was touched",
    context: { id, path, ...unsaved },
  });
}

/** The branch that a stack's worktree was made on. */
function branchOf({ ledger }: StackContext): { branch: string; repository: string } | undefined {
  const { branch, repository, adopted } = entryOf(ledger, "worktree") ?? {};
  if (typeof branch !== "string" || typeof repository !== "string" || adopted === true) return undefined;
  return { branch, repository };
}

/** Deletes the branch that a stack's worktree was on; one that was there before the stack too, since it was asked for. */
export async function dropBranch(context: StackContext): Promise<string[]> {
  const found = branchOf(context);
  if (found === undefined) return [];
  const { branch, repository } = found;
  if ((await tryGit(repository, ["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`])) === undefined) return [];
  await git(repository, ["branch", "--quiet", "--delete", "--force", branch]);
  await tryGit(repository, ["update-ref", "-d", fetchedRef(branch)]);
  return [`the branch ${branch}`];
}

/** Deletes what was discarded, in a process of its own: a hundred thousand files of node_modules take their time. */
export async function emptyTrashBehind({ ledger, paths }: StackContext): Promise<void> {
  const { path, adopted } = entryOf(ledger, "worktree") ?? {};
  if (typeof path === "string" && adopted !== true) {
    await startBehind(paths, ["worktree", "empty-trash", trashOf(path)], { log: "trash.log" });
  }
}
