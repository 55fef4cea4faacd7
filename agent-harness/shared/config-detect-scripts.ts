import { join, posix } from "node:path";
import {
  type CheckGuess,
  type DatabaseGuess,
  type Detected,
  filesIn,
  findPackages,
  type Guess,
  type ProcessGuess,
  packageManager,
  processNameFor,
  type RunScript,
  type ScriptPackage,
} from "./config-detect.ts";
import { slug } from "./names.ts";

const servers = ["express", "fastify", "hono", "koa", "@nestjs/core", "@hapi/hapi", "@trpc/server"];

/** What can be told from package.json files: scripts, workspaces, front ends, servers, migrations. */
export async function detectScripts(folder: string): Promise<Detected> {
  const packages = await findPackages(folder);
  const [root, ...workspaces] = packages;
  if (root === undefined) return { name: undefined, processes: [], checks: [], databases: [], found: [] };
  const manager = packageManager(root);
  const databases = (await Promise.all(packages.map((each) => findDatabases(folder, each, manager.value)))).flat();
  return {
    name: nameOf(root),
    processes: findProcesses(root, workspaces, manager.value),
    checks: findChecks(root, workspaces, manager.value),
    databases,
    found: [
      `package manager ${manager.name} (${manager.from})`,
      ...(workspaces.length > 0
        ? [`${workspaces.length} workspaces: ${workspaces.map(({ cwd }) => cwd).join(", ")}`]
        : []),
    ],
  };
}

function nameOf({ manifest }: ScriptPackage): Guess<string> | undefined {
  const name = slug((manifest.name ?? "").replace(/^@[^/]*\//, ""));
  if (manifest.name === undefined || !/^[a-z]/.test(name)) return undefined;
  return { value: name, from: "package.json's name" };
}

/** One process for each workspace that can be started; the root's own script only where no workspace has one. */
function findProcesses(root: ScriptPackage, workspaces: ScriptPackage[], run: RunScript): Guess<ProcessGuess>[] {
  const own = workspaces.flatMap((each) => processOf(each, run));
  return own.length > 0 ? own : processOf(root, run);
}

function processOf(found: ScriptPackage, run: RunScript): Guess<ProcessGuess>[] {
  const { scripts, dependencies } = found.manifest;
  const script = ["dev", "start:dev", "serve", "start", "watch"].find((name) => scripts[name] !== undefined);
  if (script === undefined) return [];
  const text = scripts[script] ?? "";
  const vite =
    /\bvite\b/.test(text) || ("vite" in dependencies && [...found.files].some((file) => /^vite\.config\./.test(file)));
  const next = /\bnext\b/.test(text);
  const role = vite || next ? "frontend" : isServer(found) ? "server" : "other";
  const port = "{{ports.frontend}}";
  const args = vite ? ["--port", port, "--strictPort"] : next ? ["-p", port] : [];
  const kind = vite ? ", Vite" : next ? ", Next.js" : "";
  return [
    {
      value: { name: processNameFor(found), command: run(script, ...args), cwd: found.cwd, role },
      from: `the script \`${script}\` of ${posix.join(found.cwd, "package.json")}${kind}`,
    },
  ];
}

function isServer({ cwd, manifest }: ScriptPackage): boolean {
  return servers.some((name) => name in manifest.dependencies) || /(?:^|[/-])(?:api|server|backend)$/.test(cwd);
}

const checkScripts: [CheckGuess["stage"], string[]][] = [
  ["typecheck", ["typecheck", "type-check", "types", "tsc"]],
  ["lint", ["lint", "lint:check"]],
  ["test-unit", ["test:unit", "test"]],
  ["build", ["build"]],
];

/** The root's script for each stage, else that of every workspace: a root script runs the workspaces already. */
function findChecks(root: ScriptPackage, workspaces: ScriptPackage[], run: RunScript): Guess<CheckGuess>[] {
  return checkScripts.flatMap(([stage, names]) => {
    const own = checkOf(root, stage, names, run);
    return own.length > 0 ? own : workspaces.flatMap((each) => checkOf(each, stage, names, run));
  });
}

function checkOf(
  { cwd, manifest }: ScriptPackage,
  stage: CheckGuess["stage"],
  names: string[],
  run: RunScript,
): Guess<CheckGuess>[] {
  const script = names.find((name) => {
    const text = manifest.scripts[name];
    // What `npm init` writes fails always; a watcher never ends.
    return text !== undefined && !text.includes("no test specified") && !/--watch(?!=false)\b/.test(text);
  });
  if (script === undefined) return [];
  const from = `the script \`${script}\` of ${posix.join(cwd, "package.json")}`;
  return [{ value: { stage, command: run(script), cwd }, from }];
}

async function findDatabases(folder: string, found: ScriptPackage, run: RunScript): Promise<Guess<DatabaseGuess>[]> {
  const { cwd, files, manifest } = found;
  const inside = async (name: string) => (files.has(name) ? filesIn(join(folder, cwd, name)) : new Set<string>());
  const glob = (path: string) => posix.join(cwd, path, "**");
  const tool = await databaseTool(files, inside);
  if (tool === undefined) return [];
  const migrate = Object.keys(manifest.scripts).find((name) =>
    /^(?:db:|database:)?migrate(?::latest|:deploy|:up)?$/.test(name),
  );
  const seed = Object.keys(manifest.scripts).find((name) => /^(?:db:|database:)?seed(?::run)?$/.test(name));
  const build = [
    ...(migrate === undefined ? tool.migrate : [run(migrate)]),
    ...(seed === undefined ? tool.seed : [run(seed)]),
  ];
  const seeds = ["seeds", "seeders"].filter((name) => files.has(name));
  return [
    {
      value: { inputs: [...new Set([...tool.folders, ...seeds])].map(glob), build, cwd },
      from: `${posix.join(cwd, tool.sign)} (${tool.name})`,
    },
  ];
}

interface DatabaseTool {
  name: string;
  /** The file or folder that gave it away. */
  sign: string;
  folders: string[];
  migrate: string[][];
  seed: string[][];
}

async function databaseTool(
  files: Set<string>,
  inside: (name: string) => Promise<Set<string>>,
): Promise<DatabaseTool | undefined> {
  const starting = (start: string) => [...files].find((file) => file.startsWith(start));
  const knex = starting("knexfile.");
  if (knex !== undefined) {
    const seed = files.has("seeds") ? [["knex", "seed:run"]] : [];
    return { name: "knex", sign: knex, folders: ["migrations"], migrate: [["knex", "migrate:latest"]], seed };
  }
  if ((await inside("prisma")).has("schema.prisma")) {
    const migrate = [["prisma", "migrate", "deploy"]];
    return { name: "Prisma", sign: "prisma/schema.prisma", folders: ["prisma"], migrate, seed: [] };
  }
  const drizzle = starting("drizzle.config.");
  if (drizzle !== undefined) {
    return { name: "Drizzle", sign: drizzle, folders: ["drizzle"], migrate: [["drizzle-kit", "migrate"]], seed: [] };
  }
  for (const name of ["migrations", "sql"]) {
    const sql = [...(await inside(name))].some((file) => file.endsWith(".sql"));
    if (sql) return { name: "SQL files", sign: name, folders: [name], migrate: [], seed: [] };
  }
  return files.has("migrations")
    ? { name: "a folder of migrations", sign: "migrations", folders: ["migrations"], migrate: [], seed: [] }
    : undefined;
}
