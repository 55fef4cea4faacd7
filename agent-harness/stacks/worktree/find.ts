import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { findStamp, type OwnWorktree, type WorktreeOwner } from "./make.ts";
import { detachedHead, listRecords, type WorktreeRecord } from "./records.ts";
import { describeUnsaved, findUnsavedWork, isUnsaved } from "./state.ts";

/** A worktree that carries this harness's stamp, of whichever agent. */
export interface StampedWorktree extends OwnWorktree {
  id: number;
  /** Whether its files are there, and not only git's record of it. */
  there: boolean;
}

/** Every worktree of a repository with this harness's stamp; none where there is no repository any more. */
export async function listStampedWorktrees(repository: string, machine: string): Promise<StampedWorktree[]> {
  if (repository === "") return [];
  const records = await listRecords(repository);
  const found = await Promise.all(records.map((record) => findStamped(record, machine)));
  return found.flatMap((one) => one ?? []);
}

/** The worktree of one agent, wherever its repository has it. */
export async function findStampedWorktree(
  repository: string,
  { machine, id }: WorktreeOwner,
): Promise<StampedWorktree | undefined> {
  return (await listStampedWorktrees(repository, machine)).find((one) => one.id === id && one.there);
}

async function findStamped(record: WorktreeRecord, machine: string): Promise<StampedWorktree | undefined> {
  const stamp = await findStamp(record.gitFolder);
  if (stamp?.machine !== machine) return undefined;
  return { ...record, id: stamp.id, complete: stamp.state === "complete" };
}

/** Why a worktree that nobody owns stays: what would be lost with it, and the command that shows it; undefined for nothing. */
export async function whyWorktreeStays(worktree: StampedWorktree): Promise<string | undefined> {
  const { path, gitFolder, complete, there } = worktree;
  if (await isThere(join(gitFolder, "locked"))) return `git has it locked; git worktree unlock ${path}`;
  if (!there) return await whyRecordStays(worktree);
  // Nobody can have worked in one whose making was killed.
  if (!complete) return undefined;
  const unsaved = await findUnsavedWork(path);
  return isUnsaved(unsaved) ? `it has ${describeUnsaved(unsaved)}; look: git -C ${path} status` : undefined;
}

/** The files are gone: what git's record of them still holds is where the HEAD was. */
async function whyRecordStays({ path, gitFolder }: StampedWorktree): Promise<string | undefined> {
  if (!(await isThere(dirname(path)))) return `${dirname(path)} is not there; is a disk not mounted?`;
  if (await isThere(path)) return `${path} is there, and is another one now; look: ls -a ${path}`;
  if ((await detachedHead(gitFolder)) === undefined) return undefined;
  return `its HEAD is on no branch; look: git --git-dir ${gitFolder} log -1`;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
