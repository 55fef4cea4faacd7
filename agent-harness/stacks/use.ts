import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorNumber } from "../shared/errors.ts";
import { type HomePaths, stackFolder } from "../shared/paths.ts";
import { startTimeOf } from "../shared/process-tree.ts";

/*
 * When a stack was last used: the time of the file `used` in its folder, which whatever works on the stack touches; and who
 * works with it now: a file each in its folder `users`, which counts for as long as that process lives.
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
  const file = join(usersOf(paths, id), String(process.pid));
  await touchStack(paths, id);
  await ignoringGone(async () => {
    // Not with the folders above it: a stack that is gone does not get a folder by being asked for.
    await mkdir(usersOf(paths, id), { mode: 0o700 }).catch((error: unknown) => {
      if (errorNumber(error) !== "EEXIST") throw error;
    });
    await writeFile(file, (await startTimeOf(process.pid)) ?? "", { mode: 0o600 });
  });
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
    await touchStack(paths, id);
  }
}

/** Whether a command that lives works with a stack. */
export async function hasUsers(paths: HomePaths, id: number): Promise<boolean> {
  const names = await readdir(usersOf(paths, id)).catch(() => []);
  const alive = names.map(async (name) => {
    const file = join(usersOf(paths, id), name);
    const started = await readFile(file, "utf8").catch(() => undefined);
    if (started !== undefined && (await startTimeOf(Number(name))) === started) return true;
    await rm(file, { force: true });
    return false;
  });
  return (await Promise.all(alive)).includes(true);
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
