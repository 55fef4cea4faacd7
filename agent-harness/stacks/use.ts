import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorNumber, HarnessError } from "../shared/errors.ts";
import { type HomePaths, stackFolder } from "../shared/paths.ts";
import { startTimeOf } from "../shared/process-tree.ts";

/*
 * When a stack was last used: the time of the file `used` in its folder, which whatever works on the stack touches; and who
 * works with it now: a file each in its folder `users`, which counts for as long as that process lives. One that is not to be
 * torn down under it says besides who it is.
 */

const fileOf = (paths: HomePaths, id: number): string => join(stackFolder(id, paths.home), "used");
const usersOf = (paths: HomePaths, id: number): string => join(stackFolder(id, paths.home), "users");

/** Notes that a stack is used now; does nothing where there is none. */
export async function touchStack(paths: HomePaths, id: number): Promise<void> {
  const now = new Date();
  await ignoringGone(async () => {
    await utimes(fileOf(paths, id), now, now).catch(async (error: unknown) => {
      if (errorNumber(error) !== "ENOENT") throw error;
      await writeFile(fileOf(paths, id), "", { mode: 0o600 });
    });
  });
}

/** When a stack was last used, ms since 1970; undefined when nothing says so. */
export async function lastUsed(paths: HomePaths, id: number): Promise<number | undefined> {
  return await ignoringGone(async () => (await stat(fileOf(paths, id))).mtimeMs);
}

/** Runs `work` of a command on a stack: until it ends, the stack is in use. */
export async function whileUsing<T>(paths: HomePaths, id: number, work: () => Promise<T>): Promise<T> {
  await addUser(paths, id, process.pid, (await startTimeOf(process.pid)) ?? "");
  try {
    return await work();
  } finally {
    await removeUser(paths, id, process.pid);
  }
}

/** Notes that a process works on a stack, and as whom a teardown is to name it; until it ends, or `noteRest`. */
export async function noteWork(
  paths: HomePaths,
  id: number,
  { pid, started, who }: { pid: number; started: string; who: string },
): Promise<void> {
  await addUser(paths, id, pid, `${started}\n${who}`);
}

/** Notes that a process does not work on a stack any more. */
export const noteRest = (paths: HomePaths, id: number, pid: number): Promise<void> => removeUser(paths, id, pid);

/** Whether a process that lives works with a stack. */
export const hasUsers = async (paths: HomePaths, id: number): Promise<boolean> =>
  (await listUsers(paths, id)).length > 0;

/** Throws STACK_IN_USE while somebody works on a stack who said who it is. */
export async function requireUnused(paths: HomePaths, id: number): Promise<void> {
  const workers = (await listUsers(paths, id)).filter((who) => who !== "");
  if (workers.length === 0) return;
  throw new HarnessError("STACK_IN_USE", `${workers.join(", ")} works on the stack of agent ${id}.`, {
    hint: `Wait until it rests, or abort or delete it, then again: agent-harness teardown ${id}. Or take the stack from under it: agent-harness teardown ${id} --force`,
    leftBehind: "everything: nothing was touched",
    context: { id, workers },
  });
}

async function addUser(paths: HomePaths, id: number, pid: number, text: string): Promise<void> {
  await touchStack(paths, id);
  await ignoringGone(async () => {
    // Not with the folders above it: a stack that is gone does not get a folder by being asked for.
    await mkdir(usersOf(paths, id), { mode: 0o700 }).catch((error: unknown) => {
      if (errorNumber(error) !== "EEXIST") throw error;
    });
    const file = join(usersOf(paths, id), String(pid));
    // Said again, it must not be empty for a moment.
    if ((await readFile(file, "utf8").catch(() => "")) !== text) await writeFile(file, text, { mode: 0o600 });
  });
}

async function removeUser(paths: HomePaths, id: number, pid: number): Promise<void> {
  await rm(join(usersOf(paths, id), String(pid)), { force: true });
  await touchStack(paths, id);
}

/** Who lives of those that work with a stack, each by what it said of itself: mostly nothing. */
async function listUsers(paths: HomePaths, id: number): Promise<string[]> {
  const names = await readdir(usersOf(paths, id)).catch(() => []);
  const living = names.map(async (name) => {
    const file = join(usersOf(paths, id), name);
    const [started, who = ""] = (await readFile(file, "utf8").catch(() => "")).split("\n");
    // Just being written, or by somebody who did not get further.
    if (started === "") return [];
    if ((await startTimeOf(Number(name))) === started) return [who];
    await rm(file, { force: true });
    return [];
  });
  return (await Promise.all(living)).flat();
}

/** Undefined where the stack, and with it its folder, is gone. */
async function ignoringGone<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return undefined;
    throw error;
  }
}
