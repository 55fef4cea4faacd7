import { execFile } from "node:child_process";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import { runHarness } from "./index.ts";

const run = promisify(execFile);
const just = join(packageRoot(), "node_modules", ".bin", "just");

/** What npx finds in the repository under the name of one of our programs: it prints how it was called. */
const echo = "#!/usr/bin/env node\nconsole.log(JSON.stringify([process.cwd(), ...process.argv.slice(1)]));\n";

let folder: string;
beforeEach(async () => {
  // Blanks and quotes in the path of a repository have to survive too.
  folder = join(await realpath(await mkdtemp(join(tmpdir(), "ah-just-"))), "it's a repo");
  const bin = join(folder, "node_modules", ".bin");
  await mkdir(bin, { recursive: true });
  for (const name of ["agent-harness", "agent-cli", "verify"]) await writeFile(join(bin, name), echo, { mode: 0o755 });
  await writeFile(join(folder, "package.json"), '{ "name": "shop", "private": true }\n');
});
afterEach(() => rm(join(folder, ".."), { recursive: true, force: true }));

async function initJust(): Promise<void> {
  let stderr = "";
  const exitCode = await runHarness(["init", "--just"], {
    cwd: folder,
    env: {},
    stdout: () => undefined,
    stderr: (text) => (stderr += text),
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
}

async function runJust(cwd: string, ...args: string[]): Promise<string> {
  return (await run(just, args, { cwd, env: { ...process.env, NO_COLOR: "1" } })).stdout;
}

/** How a recipe called its program: the folder it ran in, the program, the arguments. */
async function called(cwd: string, ...args: string[]): Promise<{ cwd: string; program: string; args: string[] }> {
  const [where, path, ...rest] = JSON.parse(await runJust(cwd, ...args)) as string[];
  return { cwd: where ?? "", program: path?.split("/").at(-1) ?? "", args: rest };
}

test("every recipe of the plan is there, and `just agent` lists them", async () => {
  await initJust();
  const listed = await runJust(folder, "agent");
  const names = [...listed.matchAll(/^ {4}([\w-]+) \*args/gm)].map(([, name]) => name);
  const plan = ["cli", "launch", "launch-all", "setup", "status", "teardown", "teardown-all", "verify", "verify-full"];
  expect(names).toEqual(expect.arrayContaining(plan));
});

test("each recipe calls the program that it is named after", async () => {
  await initJust();
  const calls = {
    "launch 3": ["agent-harness", "launch", "3"],
    "teardown-all --dry-run": ["agent-harness", "teardown-all", "--dry-run"],
    "verify 3": ["verify", "3"],
    "verify-full 3": ["verify", "3", "--full"],
    "cli 3 url": ["agent-cli", "3", "url"],
  };
  const made = await Promise.all(Object.keys(calls).map((line) => called(folder, "agent", ...line.split(" "))));
  expect(made.map(({ program, args }) => [program, ...args])).toEqual(Object.values(calls));
});

test("arguments arrive as they were given, from any folder of the repository", async () => {
  await initJust();
  const inner = join(folder, "packages", "api");
  await mkdir(inner, { recursive: true });
  await writeFile(join(inner, "package.json"), '{ "name": "api" }\n');
  const words = ["45", "psql", `select 'a  b', "$HOME", \`id\`, '\\n' -- {{run}}`, "", "-x", "two\nlines", "*"];
  expect(await called(inner, "agent", "cli", ...words)).toEqual({ cwd: inner, program: "agent-cli", args: words });
});

test("a program that is not installed is not fetched, though a package has its name", async () => {
  await initJust();
  await rm(join(folder, "node_modules"), { recursive: true });
  const asked: string[] = [];
  const registry = createServer((request, response) => {
    asked.push(request.url ?? "");
    const dist = { tarball: `http://${request.headers.host}/agent-cli.tgz` };
    const latest = { name: "agent-cli", version: "1.0.0", bin: { "agent-cli": "x.js" }, dist };
    const answer = { name: "agent-cli", "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": latest } };
    response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => registry.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(registry.address() as { port: number }).port}/`;
  const env = { ...process.env, npm_config_registry: url, npm_config_cache: join(folder, "cache"), npm_config_yes: "" };
  try {
    await expect(run(just, ["agent", "cli", "3", "url"], { cwd: folder, env })).rejects.toMatchObject({
      stderr: expect.stringContaining("npx canceled"),
    });
    expect(asked).toEqual(["/agent-cli"]);
  } finally {
    await new Promise((resolve) => registry.close(resolve));
  }
});

test("its first recipe stays the one that bare `just` runs", async () => {
  await writeFile(join(folder, ".justfile"), "hello name='you':\n    @echo hello {{ name }}\n");
  await initJust();
  expect(await runJust(folder)).toBe("hello you\n");
  expect(await runJust(folder, "agent")).toContain("launch-all");
});
