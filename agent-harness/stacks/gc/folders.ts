import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { errorNumber } from "../../shared/errors.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { listStackIds, lookAtLedger, removeLedger } from "../ledger.ts";
import type { MarkedThing } from "../resource.ts";
import { emptyWorktreeTrash, trashOf } from "../worktree/make.ts";
import type { KeptAside } from "./owners.ts";

/** How long a ledger or registry that could not be read is kept, in days. */
export const asideDays = 30;

/** Whether something was kept aside long enough ago that nobody will look at it any more. */
export const isOldAside = ({ at }: KeptAside, now: number): boolean => now - at > asideDays * 24 * 3600 * 1000;

/** Removes what was kept aside; gone is gone. */
export const removeAside = ({ path }: KeptAside): Promise<void> => rm(path, { force: true });

/** The folders of stacks below the home: what is in one without a ledger are logs of a stack that nobody has. */
export async function listStackFolders(paths: HomePaths): Promise<MarkedThing[]> {
  const all = (await listStackIds(paths)).map(async (id): Promise<MarkedThing[]> => {
    if ((await lookAtLedger(paths, id)) !== undefined) return [];
    return [{ name: join(paths.stacks, String(id)), id, remove: () => removeLedger(paths, id) }];
  });
  return (await Promise.all(all)).flat();
}

/** A trash of discarded worktrees, and what is in it. */
export interface WorktreeTrash {
  path: string;
  names: string[];
}

/** The trashes of the folders in which worktrees are made; a teardown empties its own behind itself, unless it is killed. */
export async function listWorktreeTrash(roots: readonly string[]): Promise<WorktreeTrash[]> {
  const all = roots.map(async (root): Promise<WorktreeTrash[]> => {
    const path = trashOf(join(root, "any"));
    const names = await readdir(path).catch((error: unknown) => {
      if (["ENOENT", "ENOTDIR", "EACCES"].includes(errorNumber(error) ?? "")) return undefined;
      throw error;
    });
    return names === undefined ? [] : [{ path, names }];
  });
  return (await Promise.all(all)).flat();
}

/** Deletes the files of discarded worktrees. */
export const removeTrash = ({ path }: WorktreeTrash): Promise<void> => emptyWorktreeTrash(path);

/** What a trash holds, in words. */
export const trashText = ({ path, names }: WorktreeTrash): string =>
  `${basename(path)} holds ${names.length === 1 ? "a discarded worktree" : `${names.length} discarded worktrees`}`;
