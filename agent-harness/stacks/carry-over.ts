import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, cp, mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { removeFolder } from "../shared/paths.ts";
import { git, zeroEnded } from "./git.ts";

/** The file that lists, in the words of gitignore, which ignored files a new worktree gets a copy of. */
const includeFile = ".worktreeinclude";

/**
 * Copies the ignored files that `.worktreeinclude` of a checkout names into a new worktree of it, sharing blocks where the
 * file system can. What is there already stays; a copy that is killed never shows half a folder. Returns what was copied.
 */
export async function carryOver(from: string, to: string): Promise<string[]> {
  const wanted = await listWanted(from);
  for (const entry of wanted) await copyEntry(join(from, entry), join(to, entry));
  return wanted;
}

async function listWanted(from: string): Promise<string[]> {
  if (!(await isThere(join(from, includeFile)))) return [];
  const list = async (...excludes: string[]): Promise<string[]> =>
    zeroEnded(await git(from, ["ls-files", "-z", "--others", "--ignored", "--directory", ...excludes]));
  const [included, ignored] = await Promise.all([list(`--exclude-from=${includeFile}`), list("--exclude-standard")]);
  // Named and ignored: a new file that is somebody's unfinished work is no cache to be carried over.
  const isIgnored = (entry: string): boolean => ignored.some((one) => one === entry || isInside(one, entry));
  return included.filter((entry) => isIgnored(entry) && !isRendered(entry));
}

const isInside = (folder: string, entry: string): boolean => folder.endsWith("/") && entry.startsWith(folder);

/** What we render for one agent is no other agent's. */
const isRendered = (entry: string): boolean =>
  /(?:^|\/)(?:\.env\.agent\.\d+|ecosystem\.agent\.\d+\.config\.cjs|CLAUDE\.agent\.\d+\.md)$/.test(entry);

async function copyEntry(from: string, to: string): Promise<void> {
  const target = to.replace(/\/$/, "");
  if (await isThere(target)) return;
  await mkdir(dirname(target), { recursive: true });
  const scratch = `${target}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await cp(from, scratch, {
      recursive: true,
      // Blocks are shared where that is possible, and copied where not.
      mode: constants.COPYFILE_FICLONE,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
    await rename(scratch, target);
  } catch (error) {
    await removeFolder(scratch, dirname(target));
    throw error;
  }
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
