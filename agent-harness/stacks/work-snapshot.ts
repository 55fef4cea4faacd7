import { copyFile, mkdir, mkdtemp, realpath, stat, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { overridesFileName } from "../shared/config-overrides.ts";
import { errorNumber } from "../shared/errors.ts";
import { removeFolder } from "../shared/paths.ts";
import { git } from "./git.ts";

/*
 * The work of a checkout as it is now, with what is changed and new in it and no commit has, as a commit that nobody
 * sees: its objects go to a folder of their own, and neither the checkout's index nor the repository is written to.
 */

/** Where such commits live, until it is closed. */
export interface Snapshots extends AsyncDisposable {
  /** What git needs to see them. */
  env: Readonly<Record<string, string>>;
  /** The commit of a checkout's work; its parent is the commit that is checked out. */
  take: (path: string) => Promise<{ head: string; commit: string }>;
}

/** Opens a place for the snapshots of one repository's checkouts. */
export async function openSnapshots(repository: string): Promise<Snapshots> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "agent-harness-conflicts-")));
  const objects = await git(repository, ["rev-parse", "--path-format=absolute", "--git-path", "objects"]);
  await mkdir(join(folder, "objects"));
  const env = {
    GIT_OBJECT_DIRECTORY: join(folder, "objects"),
    // Quoted, since a colon separates several.
    GIT_ALTERNATE_OBJECT_DIRECTORIES: JSON.stringify(lineOf(objects)),
    GIT_AUTHOR_NAME: "agent-harness",
    GIT_AUTHOR_EMAIL: "agent-harness@localhost",
    GIT_COMMITTER_NAME: "agent-harness",
    GIT_COMMITTER_EMAIL: "agent-harness@localhost",
  };
  let count = 0;
  return {
    env,
    take: async (path) => {
      count += 1;
      return await take(path, { ...env, GIT_INDEX_FILE: join(folder, `index-${count}`) });
    },
    [Symbol.asyncDispose]: async () => await removeFolder(folder, tmpdir()),
  };
}

async function take(
  path: string,
  env: Record<string, string> & { GIT_INDEX_FILE: string },
): Promise<{ head: string; commit: string }> {
  const head = lineOf(await git(path, ["rev-parse", "--verify", "HEAD^{commit}"]));
  await copyIndex(path, env.GIT_INDEX_FILE);
  // What cannot be read is left out: one such file must not hide the conflicts of all others.
  await git(path, [...careless, "add", "--all", "--ignore-errors", "--", ":/", notOurs], { env, exitCodes: [1] });
  const tree = lineOf(await git(path, ["write-tree"], { env }));
  return { head, commit: lineOf(await git(path, ["commit-tree", tree, "-p", head, "-m", "work"], { env })) };
}

/** No daemon of the checkout is woken, no pedantry ends it, and nothing is packed for an hour's life. */
const careless = ["core.fsmonitor=false", "core.safecrlf=false", "core.looseCompression=0"].flatMap((one) => [
  "-c",
  one,
]);

/** A launch puts a copy of it into each worktree. */
const notOurs = `:(top,exclude,glob)**/${overridesFileName}`;

/** It knows which files have not changed since it was written; without it all of them are read. */
async function copyIndex(path: string, target: string): Promise<void> {
  const index = resolve(path, lineOf(await git(path, ["rev-parse", "--git-path", "index"])));
  try {
    const written = Math.floor((await stat(index)).mtimeMs / 1000);
    await copyFile(index, target);
    // Git reads again what changed at or after that time: a file of the same size tells nothing by itself.
    await utimes(target, written, written);
  } catch (error) {
    if (errorNumber(error) !== "ENOENT") throw error;
  }
}

const lineOf = (text: string): string => text.replace(/\n$/, "");
