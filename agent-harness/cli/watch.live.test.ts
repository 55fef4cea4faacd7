import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import { findMarked } from "../shared/process-tree.ts";
import type { WatchFrame } from "../stacks/index.ts";
import { build } from "../testing/crash.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { openTerminal, type Terminal } from "../testing/terminal.ts";
import { until } from "../testing/until.ts";

/* The live view in a real terminal, on real stacks. */

let h: SmallHarness;
let repo: string;

const server = [
  'import { existsSync } from "node:fs";',
  'import { createServer } from "node:http";',
  'if (existsSync("broken")) process.exit(1);',
  'createServer((_, response) => { console.log("asked"); response.end(); }).listen(Number(process.env.PORT), "127.0.0.1");',
].join("\n");

beforeAll(async () => {
  await build();
  h = await openSmall();
  const rest = "verify:\n  stages:\n    - { name: typecheck, commands: [node --check server.mjs] }";
  repo = await h.project({ "server.mjs": server, "agent-harness.yml": smallConfig({ rest }) });
  await h.ok(repo, "launch", "31");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const script = join(packageRoot(), "dist", "bin", "agent-harness.js");

/** The view, begun by a shell that says afterwards how it ended. */
async function watching(options: { columns?: number; rows?: number } = {}): Promise<Terminal> {
  const shell = `echo before; "$0" "$1" status --watch; echo "ended $?"; exec sleep 1000`;
  return await openTerminal(["sh", "-c", shell, process.execPath, script], { cwd: repo, env: h.env, ...options });
}

/** The line of an agent. */
const lineOf = (text: string, id: number): string | undefined =>
  text.split("\n").find((line) => line.trimStart().startsWith(`${id} `));

/** The terminal is as it was: its own screen, a cursor, lines that break, and what was there before. */
async function expectRestored(terminal: Terminal, exitCode: number): Promise<void> {
  await terminal.until("the program has ended", (text) => text.includes(`ended ${exitCode}`));
  expect(await terminal.lines()).toEqual(["before", `ended ${exitCode}`]);
  expect(await terminal.ask("#{alternate_on} #{cursor_flag} #{wrap_flag}")).toBe("0 1 1");
}

test("shows a stack, sees it become unhealthy and well again, and leaves the terminal as it was", async () => {
  await using terminal = await watching();
  const ready = await terminal.until("the stack is ready", (text) => /31 +main +ready /.test(text));
  expect(ready).toMatch(/^1 stack +cpu/);
  expect(lineOf(ready, 31)).toMatch(/\d+\.\d +\d+ MB .*api:8310/);
  await terminal.until("infra", (text) => text.includes("infra 4 of 4 healthy   embedded"));

  await writeFile(join(repo, "broken"), "");
  process.kill((await h.pids(31))["agent-31-api"] ?? 0, "SIGKILL");
  const unwell = await terminal.until("it is not well, and its new file is seen", (text) =>
    /31 +main \*1 +unhealthy .*api: it /.test(text),
  );
  expect(unwell).not.toMatch(/ready/);
  await rm(join(repo, "broken"));
  await h.ok(repo, "launch", "31");
  await terminal.until("it is well again", (text) => /31 +main +ready /.test(text));

  expect((await h.verify(repo, "31")).exitCode).toBe(0);
  await terminal.until("the verdict", (text) => /✔ \d+ s/.test(lineOf(text, 31) ?? ""));
  await terminal.keys("q");
  await expectRestored(terminal, 0);
});

test("stacks that come and go are seen; a small terminal shows what it has room for", async () => {
  await using terminal = await watching({ columns: 80, rows: 8 });
  await terminal.until("the first", (text) => /31 .*ready/.test(text));
  for (const id of ["32", "33", "34"]) await h.ok(repo, "launch", id);
  await terminal.until("the others", (text) => /^4 stacks/.test(text) && /33 .*ready/.test(text));
  await terminal.resize(60, 6);
  const small = await terminal.until("what there is room for", (text) => text.includes("… 3 more"));
  expect(small.split("\n").every((line) => line.length <= 60)).toBe(true);
  await terminal.resize(120, 20);
  await terminal.until("all of it", (text) => /34 .*ready .*api:8340/.test(text) && !text.includes("more"));
  for (const id of ["32", "33", "34"]) await h.ok(repo, "teardown", id);
  await terminal.until("one is left", (text) => /^1 stack /.test(text) && lineOf(text, 33) === undefined);
  await terminal.keys("C-c");
  // tmux itself keeps a line of the other screen when that was made smaller and larger, as with any program.
  await terminal.until("the program has ended", (text) => text.includes("before\nended 0"));
  expect(await terminal.ask("#{alternate_on}")).toBe("0");
});

test.each([
  ["SIGTERM", 143],
  ["SIGHUP", 129],
  ["SIGINT", 130],
] as const)("%s leaves the terminal as it was", async (signal, exitCode) => {
  await using terminal = await watching();
  await terminal.until("the view", (text) => text.includes("1 stack"));
  const own = (await findMarked("AGENT_HARNESS_HOME", h.home)).filter((one) => one.command.includes("status --watch"));
  const view = own.find((one) => one.command.startsWith(process.execPath));
  process.kill(view?.pid ?? 0, signal);
  await expectRestored(terminal, exitCode);
});

test("what nobody caught leaves the terminal as it was, with the error behind it", async () => {
  // Thrown from inside of the very process, when the view is up.
  const fuse = join(h.home, "fuse");
  const bomb = `setInterval(() => { if (require("fs").existsSync("${fuse}")) throw new Error("boom"); }, 20)`;
  await writeFile(join(h.home, "bomb.cjs"), bomb);
  const env = { ...h.env, NODE_OPTIONS: `--require ${join(h.home, "bomb.cjs")}` };
  const shell = `"$0" "$1" status --watch; echo "ended $?"; exec sleep 1000`;
  await using terminal = await openTerminal(["sh", "-c", shell, process.execPath, script], { cwd: repo, env });
  await terminal.until("the view", (text) => text.includes("1 stack"));
  await writeFile(fuse, "");
  const text = await terminal.until("its end", (now) => now.includes("ended 1"));
  expect(text).toContain("boom");
  expect(text).not.toContain("1 stack");
  expect(await terminal.ask("#{alternate_on} #{cursor_flag}")).toBe("0 1");
});

test("--json prints a document a line each second until it is interrupted, and ends with its reader", async () => {
  const child = spawn(process.execPath, [script, "status", "--watch", "--json"], {
    cwd: repo,
    env: h.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (data) => (stderr += data));
  const frames: (WatchFrame & { seen: number })[] = [];
  createInterface({ input: child.stdout }).on("line", (line) =>
    frames.push({ ...(JSON.parse(line) as WatchFrame), seen: performance.now() }),
  );
  await until("three documents", () => frames.length >= 3, 30_000);
  const [first, second, third] = frames;
  expect(first?.stacks).toMatchObject([
    { id: 31, status: "ready", asked: true, git: { branch: "main" }, verify: { status: "pass" }, usage: { count: 2 } },
  ]);
  expect(first?.infra).toMatchObject({ driver: "embedded" });
  expect(second?.stacks[0]?.usage).toHaveProperty("cpu");
  expect((third?.seen ?? 0) - (second?.seen ?? 0)).toBeGreaterThan(500);
  // As `head` does.
  child.stdout.destroy();
  const [code] = await once(child, "close");
  expect([code, stderr]).toEqual([0, ""]);
});

test("watching keeps no stack awake that is to be stopped when nobody uses it; another one is asked for its health", async () => {
  await h.ok(repo, "launch", "35", "--idle", "1h");
  const asked = async (id: number): Promise<number> =>
    ((await h.ask(repo, String(id), "logs", "api", "--lines", "10000")) as { line: string }[]).filter(
      ({ line }) => line === "asked",
    ).length;
  const [awake, asleep] = [await asked(31), await asked(35)];
  await using terminal = await watching();
  await terminal.until("both are ready", (text) => [31, 35].every((id) => / ready /.test(lineOf(text, id) ?? "")));
  await until("the other one was asked again and again", async () => (await asked(31)) > awake + 1, 30_000);
  expect(await asked(35)).toBe(asleep);
  // What is seen from outside tells all the same.
  await writeFile(join(repo, "broken"), "");
  process.kill((await h.pids(35))["agent-35-api"] ?? 0, "SIGKILL");
  await terminal.until("it is not well", (text) => /35 .*unhealthy .*api: it /.test(text));
  await rm(join(repo, "broken"));
  await terminal.keys("q");
  await expectRestored(terminal, 0);
  await h.ok(repo, "teardown", "35");
});

test("without a terminal it is a usage error; status --json has what the view shows", async () => {
  expect(await h.harness(repo, "status", "--watch")).toMatchObject({
    exitCode: 2,
    stdout: "",
    stderr: expect.stringMatching(/--watch wants a terminal.*\n.*status --watch --json/),
  });
  const { stdout, exitCode } = await h.harness(repo, "status", "--json");
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject([
    {
      id: 31,
      status: "ready",
      processes: [{ process: "api", healthy: true, port: 8310 }, { process: "idle" }],
      git: { branch: "main", changed: 0 },
      usage: { count: 2, cpu: expect.any(Number), memoryBytes: expect.any(Number) },
      verify: { status: "pass", full: false },
    },
  ]);
});
