import { HarnessError } from "../../shared/errors.ts";
import { isWithin } from "../../shared/paths.ts";
import { startBehind } from "../behind.ts";
import { git, tryGit } from "../git.ts";
import { listClaims } from "../registry.ts";
import { entryOf, type Resource, type StackContext } from "../resource.ts";
import {
  discardWorktree,
  findOwnWorktree,
  forgetWorktree,
  makeWorktree,
  type OwnWorktree,
  trashOf,
} from "../worktree-make.ts";
import { describeUnsaved, findUnsavedWork, isUnsaved } from "../worktree-state.ts";

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
    // Killed between the two steps of that: the files are gone, and git still counts them.
    const gitFolder = entryOf(context.ledger, "worktree")?.["gitFolder"];
    if (found === undefined && typeof gitFolder === "string") await forgetWorktree(gitFolder);
  },

  exists: async (context) => {
    const found = await findOurs(context);
    return found === undefined ? undefined : `the worktree ${found.path}`;
  },
};

async function findOurs({ ledger, infra }: StackContext): Promise<OwnWorktree | undefined> {
  const entry = entryOf(ledger, "worktree");
  if (entry?.["adopted"] === true) return undefined;
  // A ledger that was rebuilt knows the working directory only.
  const path = entry?.["path"] ?? (await tryGit(ledger.workdir, ["rev-parse", "--show-toplevel"]));
  return typeof path === "string" ? await findOwnWorktree(path, { machine: infra.machine, id: ledger.id }) : undefined;
}

/** Throws WORKTREE_TAKEN when another agent's stack runs in this one's worktree: no force may take it from under it. */
export async function requireUnshared(context: StackContext): Promise<void> {
  const found = await findOurs(context);
  if (found === undefined) return;
  const { id } = context.ledger;
  const others = (await listClaims(context.paths)).filter((one) => one.id !== id && isWithin(found.path, one.workdir));
  if (others.length === 0) return;
  const ids = others.map((one) => one.id).join(", ");
  throw new HarnessError(
    "WORKTREE_TAKEN",
    `The worktree ${found.path} of agent ${id} is also where agent ${ids} runs.`,
    {
      hint: `Run first: agent-harness teardown ${ids}`,
      leftBehind: "everything: nothing was touched",
      context: { id, path: found.path, others: others.map((one) => one.id) },
    },
  );
}

/** Throws WORK_UNSAVED when a stack's worktree holds work that nothing else has. */
export async function requireSavedWork(context: StackContext): Promise<void> {
  const found = await findOurs(context);
  if (found === undefined || !found.complete) return;
  const unsaved = await findUnsavedWork(found.path);
  if (!isUnsaved(unsaved)) return;
  const { id } = context.ledger;
  throw new HarnessError("WORK_UNSAVED", `The worktree ${found.path} of agent ${id} has ${describeUnsaved(unsaved)}.`, {
    hint: `Commit and push it. Or lose it: agent-harness teardown ${id} --force (commits stay on their branch unless --delete-branch is given too)`,
    leftBehind: "everything: nothing was touched",
    context: { id, path: found.path, ...unsaved },
  });
}

/** Deletes the branch that a stack's worktree was on; one that was there before the stack too, since it was asked for. */
export async function dropBranch({ ledger }: StackContext): Promise<string[]> {
  const { branch, repository, adopted } = entryOf(ledger, "worktree") ?? {};
  if (typeof branch !== "string" || typeof repository !== "string" || adopted === true) return [];
  if ((await tryGit(repository, ["rev-parse", "--verify", "--quiet", `refs/heads/${branch}`])) === undefined) return [];
  await git(repository, ["branch", "--quiet", "--delete", "--force", branch]);
  return [`the branch ${branch}`];
}

/** Deletes what was discarded, in a process of its own: a hundred thousand files of node_modules take their time. */
export async function emptyTrashBehind({ ledger, paths }: StackContext): Promise<void> {
  const { path, adopted } = entryOf(ledger, "worktree") ?? {};
  if (typeof path === "string" && adopted !== true) {
    await startBehind(paths, ["worktree", "empty-trash", trashOf(path)], { log: "trash.log" });
  }
}
