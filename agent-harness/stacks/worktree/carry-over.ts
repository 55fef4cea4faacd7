import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { cp, lstat, mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isWithin, removeFolder } from "../../shared/paths.ts";
import { git, zeroEnded } from "../git.ts";
import { carryScratch, excludeFromGit } from "../git-exclude.ts";

/** The file that lists, in the words of gitignore, which ignored files a new worktree gets a copy of. */
const includeFile = ".worktreeinclude";

/**
 * Copies the ignored files that `.worktreeinclude` of a checkout names into a new worktree of it, sharing blocks where the
 * file system can. What is there already stays; a copy that is killed never shows half a folder. Returns what was copied.
 */
export async function carryOver(from: string, to: string): Promise<string[]> {
  // Worktrees may lie in an ignored folder of the checkout itself.
  const wanted = (await listWanted(from)).filter((entry) => !isWithin(join(from, entry), to));
  if (wanted.length === 0) return [];
  const scratch = join(to, carryScratch);
  // What a killed copy left is nobody's work.
  await excludeFromGit(to);
  await removeFolder(scratch, to);
  await mkdir(scratch, { mode: 0o700 });
  try {
    for (const entry of wanted) await copyEntry(join(from, entry), join(to, entry), scratch);
  } finally {
    await removeFolder(scratch, to);
  }
  return wanted;
}

async function listWanted(from: string): Promise<string[]> {
  if (!(await isThere(join(from, includeFile)))) return [];
  const list = async (...excludes: string[]): Promise<string[]> =>
    zeroEnded(await git(from, ["ls-files", "-z", "--others", "--ignored", "--directory", ...excludes]));
  const [included, ignored] = await Promise.all([list(`--exclude-from=${includeFile}`), list("--exclude-standard")]);
  // Named and ignored: a new file that is somebody's unfinished work is no cache to be carried over.
  const both = included.flatMap((one) => common(one, ignored));
  return [...new Set(both)].filter((entry) => !isRendered(entry));
}

/** What an entry has in common with a list: itself where it is in there or inside of one, else what lies inside of it. */
function common(entry: string, list: readonly string[]): string[] {
  if (list.some((one) => one === entry || isInside(one, entry))) return [entry];
  return list.filter((one) => isInside(entry, one));
}

const isInside = (folder: string, entry: string): boolean => folder.endsWith("/") && entry.startsWith(folder);

/** What we render for one agent is no other agent's. */
const isRendered = (entry: string): boolean =>
  /(?:^|\/)(?:\.env\.agent\.\d+|ecosystem\.agent\.\d+\.config\.cjs|CLAUDE\.agent\.\d+\.md)$/.test(entry);

async function copyEntry(from: string, to: string, scratch: string): Promise<void> {
  const target = to.replace(/\/$/, "");
  if (await isThere(target)) return;
  await mkdir(dirname(target), { recursive: true });
  const copy = join(scratch, randomBytes(4).toString("hex"));
  await cp(from.replace(/\/$/, ""), copy, {
    recursive: true,
    // Blocks are shared where that is possible, and copied where not.
    mode: constants.COPYFILE_FICLONE,
    preserveTimestamps: true,
    verbatimSymlinks: true,
  });
  await rename(copy, target);
}

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );
