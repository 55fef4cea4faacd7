import { execFile } from "node:child_process";
import { lstat, readdir, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { promisify } from "node:util";
import { errorNumber, errorText, HarnessError } from "./errors.ts";

const execFileAsync = promisify(execFile);

/** Folders that a walk without git never enters. */
const neverWalked = new Set(["node_modules", ".git"]);

/** Variables that a git hook sets; with them git would look at another tree than the folder it is asked about. */
const hookVariables = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"];

/**
 * Whether a path (relative, with `/`) is chosen by a list of globs. `*` and `?` stay within a folder, `**` crosses
 * folders, `{a,b}` is either, `\` takes a sign as it is. A glob that ends in a plain name also means everything below
 * it. The last glob that matches decides, and one that begins with `!` takes away; a list that begins with a `!`
 * starts from everything. `[` is an ordinary sign, because `app/[id]/page.tsx` is an ordinary name.
 */
export function matchGlobs(path: string, globs: readonly string[]): boolean {
  let chosen = globs[0]?.startsWith("!") ?? false;
  for (const glob of globs) {
    const negated = glob.startsWith("!");
    if (negated === chosen && compile(negated ? glob.slice(1) : glob).test(path)) chosen = !negated;
  }
  return chosen;
}

/**
 * The files below a folder that the globs choose: sorted, relative to the folder, with `/`. In a git work tree these
 * are the tracked files and the untracked ones that are not ignored; elsewhere all but node_modules and .git. Every
 * path returned can be read as a file. Throws CONFIG_INVALID for a glob that points out of the folder.
 */
export async function listFiles(folder: string, globs: readonly string[]): Promise<string[]> {
  const outside = globs.find((glob) => /^!?(\/|\.\.(\/|$))/.test(glob));
  if (outside !== undefined) {
    throw new HarnessError("CONFIG_INVALID", `The glob ${outside} points out of the folder it is meant for.`, {
      hint: "Write globs relative to the project's folder, such as src/**/*.ts.",
    });
  }
  const found = new Set<string>();
  for (const path of await listAll(folder)) if (matchGlobs(path, globs)) found.add(path);
  const readable = await Promise.all(
    [...found].map(async (path) => ((await isFile(join(folder, path))) ? [path] : [])),
  );
  return readable.flat().sort();
}

async function listAll(folder: string): Promise<string[]> {
  const listed = await findGitFiles(folder);
  // Git lists nothing in a folder that is itself ignored, such as a scratch folder of a test.
  if (listed === undefined || listed.length === 0) return walk(folder, "");
  // With a slash at the end it is somebody else's repository (another agent's worktree); a folder without is a submodule.
  const ours = listed.filter((path) => !path.endsWith("/"));
  const paths = await Promise.all(
    ours.map(async (path) => {
      if (!(await isRealFolder(join(folder, path)))) return [path];
      return (await listAll(join(folder, path))).map((inner) => posix.join(path, inner));
    }),
  );
  return paths.flat();
}

/** What git lists below a folder, or undefined where there is no git work tree or no git. */
async function findGitFiles(folder: string): Promise<string[] | undefined> {
  const env: NodeJS.ProcessEnv = { ...process.env, LC_ALL: "C" };
  for (const variable of hookVariables) delete env[variable];
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  try {
    const { stdout } = await execFileAsync("git", args, { cwd: folder, env, maxBuffer: 512 * 1024 * 1024 });
    return [...new Set(stdout.split("\0").filter((path) => path !== ""))];
  } catch (cause) {
    const missing = errorNumber(cause) === "ENOENT" && (await isFolder(folder));
    if (missing || /not a git repository|must be run in a work tree/.test(errorText(cause))) return undefined;
    throw new HarnessError("COMMAND_FAILED", `git could not list the files of ${folder}: ${errorText(cause)}`, {
      hint: `Run git -C ${folder} status and mend what it says.`,
      cause,
    });
  }
}

async function walk(folder: string, prefix: string): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const path = posix.join(prefix, entry.name);
    if (!entry.isDirectory()) paths.push(path);
    else if (!neverWalked.has(entry.name)) for (const inner of await walk(folder, path)) paths.push(inner);
  }
  return paths;
}

const isFile = async (path: string): Promise<boolean> => (await findStat(path))?.isFile() ?? false;
const isFolder = async (path: string): Promise<boolean> => (await findStat(path))?.isDirectory() ?? false;

/** A link to a folder (node_modules, in many a worktree) is none: git does not look behind it, and neither do we. */
const isRealFolder = async (path: string): Promise<boolean> => (await findStat(path, lstat))?.isDirectory() ?? false;

async function findStat(path: string, ask: typeof stat | typeof lstat = stat) {
  try {
    return await ask(path);
  } catch (error) {
    // Listed by git and deleted since, or a link to nowhere.
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(errorNumber(error) ?? "")) return undefined;
    throw error;
  }
}

const compiled = new Map<string, RegExp>();

function compile(glob: string): RegExp {
  let expression = compiled.get(glob);
  if (expression === undefined) {
    expression = new RegExp(`^(?:${expandBraces(glob).map(source).join("|")})$`, "s");
    compiled.set(glob, expression);
  }
  return expression;
}

/** `a{b,c}d` as `abd` and `acd`, braces within braces too; a brace without its partner stays an ordinary sign. */
function expandBraces(glob: string): string[] {
  for (let open = 0; open < glob.length; open++) {
    if (glob[open] === "\\") open++;
    else if (glob[open] === "{") {
      const parts = splitBrace(glob, open);
      if (parts === undefined) continue;
      const before = glob.slice(0, open);
      return parts.choices.flatMap((choice) => expandBraces(before + choice + parts.after));
    }
  }
  return [glob];
}

function splitBrace(glob: string, open: number): { choices: string[]; after: string } | undefined {
  const choices: string[] = [];
  let depth = 0;
  let start = open + 1;
  for (let at = open; at < glob.length; at++) {
    if (glob[at] === "\\") at++;
    else if (glob[at] === "{") depth++;
    else if (glob[at] === "," && depth === 1) {
      choices.push(glob.slice(start, at));
      start = at + 1;
    } else if (glob[at] === "}" && --depth === 0) {
      choices.push(glob.slice(start, at));
      return choices.length > 1 ? { choices, after: glob.slice(at + 1) } : undefined;
    }
  }
  return undefined;
}

/** The regular expression of one glob without braces. */
function source(glob: string): string {
  const segments = posix.normalize(glob.replace(/\/+$/, "/**")).split("/");
  const last = segments.at(-1) ?? "";
  let text = "";
  segments.forEach((segment, index) => {
    const isLast = index === segments.length - 1;
    // Everything below a folder, but not the folder itself; in between, any number of folders or none.
    if (segment === "**") text += isLast ? ".+" : "(?:[^/]+/)*";
    else text += segmentSource(segment) + (isLast ? "" : "/");
  });
  return /[*?]/.test(last) ? text : `${text}(?:/.+)?`;
}

function segmentSource(segment: string): string {
  return segment.replaceAll(/\\(.)|\*+|[\s\S]/g, (sign: string, escaped: string | undefined) => {
    if (escaped !== undefined) return literal(escaped);
    if (sign.startsWith("*")) return "[^/]*";
    return sign === "?" ? "[^/]" : literal(sign);
  });
}

const literal = (sign: string): string => sign.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&");
