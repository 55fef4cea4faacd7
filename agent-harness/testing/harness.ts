import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { runAgentCli, runHarness, runVerify } from "../cli/index.ts";
import { wasUsed } from "../infra/compose/last-engine.ts";
import { serviceMark } from "../infra/embedded/strays.ts";
import { homePaths, packageRoot } from "../shared/paths.ts";
import { findMarked, listProcesses, type ProcessInfo } from "../shared/process-tree.ts";
import { infraPortVariables } from "../shared/settings.ts";
import { freePorts } from "./ports.ts";
import { until } from "./until.ts";

const run = promisify(execFile);

/** What a program printed, and how it ended. */
export interface Printed {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A harness of its own: a home, ports for infra, and the programs run in-process against them. */
export interface TestHarness extends AsyncDisposable {
  home: string;
  env: NodeJS.ProcessEnv;
  /** Runs `agent-harness …` in a folder. */
  harness: (cwd: string, ...argv: string[]) => Promise<Printed>;
  /** Runs `agent-cli …`. */
  agent: (cwd: string, ...argv: string[]) => Promise<Printed>;
  /** Runs `verify …`. */
  verify: (cwd: string, ...argv: string[]) => Promise<Printed>;
}

/**
 * A harness with an empty home under the temporary folder. When it is disposed of, stacks and infra are taken down and
 * nothing that carries its home may be left running.
 */
export async function openHarness({
  driver = "embedded",
}: {
  driver?: "embedded" | "compose";
} = {}): Promise<TestHarness> {
  const home = await realpath(await mkdtemp(join(tmpdir(), "ah-")));
  // As root, Postgres runs as another user, who has to pass through.
  await chmod(home, 0o711);
  const ports = await freePorts(Object.keys(infraPortVariables).length);
  const variables = Object.values(infraPortVariables).map(({ variable }, at) => [variable, String(ports[at])]);
  const { AGENT_ID: _id, AGENT_HARNESS_CONFIG: _config, ...shell } = process.env;
  const env = {
    ...shell,
    ...Object.fromEntries(variables),
    AGENT_HARNESS_HOME: home,
    AGENT_HARNESS_INFRA_DRIVER: driver,
    // Nobody's own infra is touched.
    AGENT_COMPOSE_PROJECT: basename(home).toLowerCase(),
  };
  const program =
    (main: typeof runHarness) =>
    async (cwd: string, ...argv: string[]): Promise<Printed> => {
      const printed = { stdout: "", stderr: "" };
      const exitCode = await main(argv, {
        cwd,
        env,
        live: false,
        interactive: false,
        stdout: (text) => (printed.stdout += text),
        stderr: (text) => (printed.stderr += text),
      });
      return { exitCode, ...printed };
    };
  const harness = program(runHarness);
  return {
    home,
    env,
    harness,
    agent: program(runAgentCli),
    verify: program(runVerify),
    [Symbol.asyncDispose]: async () => {
      // A refill that goes on behind a launch would bring infra up again after it was taken down.
      await until("the pools are full", async () => (await refills(home)).length === 0, 30_000);
      const torn = await harness(home, "teardown-all", "--everywhere");
      await harness(home, "infra", "down", "--force");
      // Volumes lie outside of the home: nobody would have them deleted any more once it is gone.
      const destroyed = (await wasUsed(homePaths(home))) ? await harness(home, "infra", "destroy", "--force") : torn;
      await until("nothing of this harness runs", async () => (await leftRunning(home)).length === 0, 20_000).catch(
        async () => {
          throw new Error(`left running: ${(await leftRunning(home)).join("; ")}`);
        },
      );
      await rm(home, { recursive: true, force: true });
      expect(torn.exitCode, torn.stderr).toBe(0);
      expect(destroyed.exitCode, destroyed.stderr).toBe(0);
    },
  };
}

/** The command lines of processes that name this home; a service may have it in its environment only. */
async function leftRunning(home: string): Promise<string[]> {
  const named = (await listProcesses()).filter((one) => one.command.includes(home) && one.pid !== process.pid);
  const marked = await findMarked(serviceMark, home);
  // The daemon and all that it runs; its title is cut off where the home is long.
  marked.push(...(await findMarked("PM2_HOME", join(home, "pm2"))));
  return [...named, ...marked, ...(await refills(home))].map((one) => one.command);
}

/** Refills that go on behind a launch; they have the home in their environment only. */
async function refills(home: string): Promise<ProcessInfo[]> {
  return (await findMarked("AGENT_HARNESS_HOME", home)).filter((one) => one.command.includes(" template-db refill "));
}

/** A small project in a folder of its own: one process that answers, one table. Write what a test needs over it. */
export async function writeProject(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "ah-project-")));
  const all = { ...smallProject, ...files };
  for (const [name, text] of Object.entries(all)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

const smallProject: Readonly<Record<string, string>> = {
  "agent-harness.yml": [
    "name: small",
    "ports: { api: 8000, debug: 9200 }",
    "database:",
    "  inputs: [schema.sql]",
    "  build: [node build.mjs]",
    "processes:",
    "  api:",
    "    command: node server.mjs",
    "    port: api",
    "    health: { path: /health }",
    "  idle:",
    "    command: node idle.mjs",
    "    aliases: [sleeper]",
    "settleMs: 300",
    "verify:",
    "  stages:",
    "    - { name: typecheck, commands: [node --check server.mjs] }",
    "",
  ].join("\n"),
  "schema.sql":
    "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL); INSERT INTO notes (text) VALUES ('seed');\n",
  // pg lies in the harness's own node_modules; a real project has its own.
  "build.mjs": [
    'import { createRequire } from "node:module";',
    'import { readFileSync } from "node:fs";',
    `const pg = createRequire(${JSON.stringify(`${join(packageRoot(), "package.json")}`)})("pg");`,
    "const client = new pg.Client(); // PG* of the environment",
    "await client.connect();",
    'await client.query(readFileSync("schema.sql", "utf8"));',
    "await client.end();",
    "",
  ].join("\n"),
  "server.mjs": [
    'import { createServer } from "node:http";',
    "createServer((request, response) => response.end(JSON.stringify({ id: process.env.AGENT_ID, database: process.env.PGDATABASE })))",
    '  .listen(Number(process.env.PORT), "127.0.0.1");',
    'process.on("SIGINT", () => process.exit(0));',
    "",
  ].join("\n"),
  "idle.mjs": 'setInterval(() => undefined, 1000);\nconsole.log("idling");\n',
};

/** A copy of the guestbook, packages and all, in a folder and git repository of its own. */
export async function copyGuestbook(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "ah-guestbook-")));
  const source = join(packageRoot(), "examples", "guestbook");
  // cp, since it keeps symlinks as they are and copies two hundred megabytes in a moment.
  await run("cp", ["-R", `${source}/.`, folder]);
  for (const name of await readdir(folder)) if (/agent\.\d+/.test(name)) await rm(join(folder, name));
  const git = ["-c", "user.name=test", "-c", "user.email=test@example.test"];
  await run("git", ["init", "--quiet", folder]);
  await run("git", ["-C", folder, "add", "--all"]);
  await run("git", [...git, "-C", folder, "commit", "--quiet", "--message", "guestbook"]);
  return folder;
}
