import { readdir } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { findText } from "./files.ts";
import { slug } from "./names.ts";

/** Something put into a first project config, and what it was guessed from. */
export interface Guess<T> {
  value: T;
  from: string;
}

/** A process for the first project config. */
export interface ProcessGuess {
  name: string;
  command: string[];
  /** From the project's folder; `.` is the folder itself. */
  cwd: string;
  /** What listens: a front end and a server get a port, anything else none. */
  role: "frontend" | "server" | "other";
}

/** One command of a verify stage. */
export interface CheckGuess {
  stage: "typecheck" | "lint" | "test-unit" | "build";
  command: string[];
  cwd: string;
}

/** One way in which the database gets its tables and rows. */
export interface DatabaseGuess {
  inputs: string[];
  /** Empty where the tool that applies the files is not known. */
  build: string[][];
  cwd: string;
}

/** All that could be told from looking at a repository. */
export interface Detected {
  name: Guess<string> | undefined;
  processes: Guess<ProcessGuess>[];
  checks: Guess<CheckGuess>[];
  databases: Guess<DatabaseGuess>[];
  /** Plain lines for people: what was found, and where. */
  found: string[];
}

/** The parts of a package.json that are looked at. */
interface Manifest {
  name?: string;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  workspaces: string[];
  packageManager?: string;
}

/** One package of a JavaScript repository. */
export interface ScriptPackage {
  /** From the project's folder. */
  cwd: string;
  manifest: Manifest;
  files: Set<string>;
}

/** The names in a folder; none where it cannot be read. */
export async function filesIn(folder: string): Promise<Set<string>> {
  return new Set(await readdir(folder).catch(() => []));
}

/** The root package and its workspaces, or nothing where there is no readable package.json. */
export async function findPackages(folder: string): Promise<ScriptPackage[]> {
  const root = await readPackage(folder, ".");
  if (root === undefined) return [];
  const patterns = [...root.manifest.workspaces, ...(await pnpmWorkspaces(folder))];
  const folders = (await Promise.all(patterns.map((pattern) => expand(folder, pattern)))).flat();
  const packages = await Promise.all([...new Set(folders)].sort().map((cwd) => readPackage(folder, cwd)));
  return [root, ...packages.filter((found) => found !== undefined)];
}

/** How a package manager runs a script, with arguments for the script itself. */
export type RunScript = (script: string, ...args: string[]) => string[];

/** The package manager whose lock file lies there, npm without any. */
export function packageManager(root: ScriptPackage): Guess<RunScript> & { name: string } {
  const byLock: [string, string][] = [
    ["pnpm-lock.yaml", "pnpm"],
    ["yarn.lock", "yarn"],
    ["bun.lock", "bun"],
    ["bun.lockb", "bun"],
    ["package-lock.json", "npm"],
  ];
  const lock = byLock.find(([file]) => root.files.has(file));
  const declared = /^(npm|pnpm|yarn|bun)@/.exec(root.manifest.packageManager ?? "")?.[1];
  const name = lock?.[1] ?? declared ?? "npm";
  const from = lock?.[0] ?? (declared === undefined ? "no lock file" : "package.json's packageManager");
  // Only npm keeps what follows `--` from being read as its own options.
  const dashes = name === "npm" ? ["--"] : [];
  return {
    name,
    from,
    value: (script, ...args) => [name, "run", script, ...(args.length > 0 ? [...dashes, ...args] : [])],
  };
}

/** A process name made from a folder's or package's name: it must begin with a letter. */
export function processNameFor(found: ScriptPackage): string {
  const text = found.cwd === "." ? "app" : basename(found.cwd);
  const name = slug(text);
  return /^[a-z]/.test(name) ? name : `p-${name}`;
}

async function readPackage(folder: string, cwd: string): Promise<ScriptPackage | undefined> {
  const text = await findText(join(folder, cwd, "package.json")).catch(() => undefined);
  const manifest = text === undefined ? undefined : parseManifest(text);
  return manifest && { cwd, manifest, files: await filesIn(join(folder, cwd)) };
}

function parseManifest(text: string): Manifest | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Half-written by somebody else: nothing is guessed from it.
    return undefined;
  }
  const root = record(json);
  const workspaces = Array.isArray(root["workspaces"]) ? root["workspaces"] : record(root["workspaces"])["packages"];
  return {
    scripts: texts(root["scripts"]),
    dependencies: { ...texts(root["dependencies"]), ...texts(root["devDependencies"]) },
    workspaces: Array.isArray(workspaces) ? workspaces.filter((item) => typeof item === "string") : [],
    ...(typeof root["name"] === "string" ? { name: root["name"] } : {}),
    ...(typeof root["packageManager"] === "string" ? { packageManager: root["packageManager"] } : {}),
  };
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};

const texts = (value: unknown): Record<string, string> =>
  Object.fromEntries(
    Object.entries(record(value)).flatMap(([key, item]) => (typeof item === "string" ? [[key, item]] : [])),
  );

/** The list under `packages:`; enough of YAML for what pnpm itself writes. */
async function pnpmWorkspaces(folder: string): Promise<string[]> {
  const text = (await findText(join(folder, "pnpm-workspace.yaml")).catch(() => undefined)) ?? "";
  const list = /^packages:[^\S\n]*\n((?:[^\S\n]*(?:-[^\n]*|#[^\n]*)?\n?)*)/m.exec(text)?.[1] ?? "";
  return [...list.matchAll(/^\s*-\s*['"]?([^'"#\n]+?)['"]?\s*(?:#.*)?$/gm)].flatMap(([, item]) => item ?? []);
}

/** The folders that a workspace pattern means; `packages/*` and plain paths cover what repositories use. */
async function expand(folder: string, pattern: string): Promise<string[]> {
  const plain = pattern.replace(/^\.\//, "").replace(/\/+$/, "");
  if (plain.startsWith("!") || plain.startsWith("..") || plain.startsWith("/")) return [];
  const parent = /^(.*?)\/?\*{1,2}$/.exec(plain)?.[1];
  if (parent === undefined) return plain.includes("*") ? [] : [plain];
  const entries = await readdir(join(folder, parent), { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && entry.name !== "node_modules" && !entry.name.startsWith("."))
    .map((entry) => relative(folder, join(folder, parent, entry.name)));
}
