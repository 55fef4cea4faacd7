import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { isAlive, startTimeOf } from "./process-tree.ts";
import { runCommand } from "./run-command.ts";

let cwd: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "ah-run-"));
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

const node = (code: string, ...args: string[]): string[] => [process.execPath, "-e", code, ...args];

test("gives the exit code and the last 40 lines of both streams, and each line as it comes", async () => {
  const lines: string[] = [];
  const code = "for (let i = 1; i <= 50; i += 1) console[i % 2 ? 'log' : 'error'](i); process.exitCode = 3";
  const { exitCode, tail } = await runCommand(node(code), { cwd, env: {}, onLine: (line) => lines.push(line) });
  expect(exitCode).toBe(3);
  expect(lines.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, at) => at + 1));
  expect(tail).toEqual(lines.slice(-40));
});

test("the last line needs no line break, and the log file has everything, for its owner only", async () => {
  const logFile = join(cwd, "logs/out.log");
  const { tail } = await runCommand(node("process.stdout.write('a\\nb')"), { cwd, env: {}, logFile });
  await runCommand(node("console.log('c')"), { cwd, env: {}, logFile });
  expect(tail).toEqual(["a", "b"]);
  expect(await readFile(logFile, "utf8")).toBe("a\nb\nc\n");
});

test("passes arguments and variables untouched, inherits nothing, and reads no input", async () => {
  process.env["AH_TEST_LEAKY"] = "1";
  const odd = ["$HOME", "`date`", "a b", 'quo"te', "it's", "line\nbreak", "*", "; exit 9", ""];
  const code = `process.stdin.resume().on("end", () => console.log(JSON.stringify([process.argv.slice(1), process.env])))`;
  const { exitCode, tail } = await runCommand(node(code, ...odd), { cwd, env: { A: "$B\n'\"" } });
  delete process.env["AH_TEST_LEAKY"];
  expect(exitCode).toBe(0);
  expect(JSON.parse(tail.join("\n"))).toEqual([odd, { A: "$B\n'\"" }]);
});

test("a signal is 128 and its number", async () => {
  expect((await runCommand(node("process.kill(process.pid, 'SIGTERM')"), { cwd, env: {} })).exitCode).toBe(143);
  expect((await runCommand(node("process.kill(process.pid, 'SIGKILL')"), { cwd, env: {} })).exitCode).toBe(137);
});

test.each([["no-such-program"], ["./package.json"], [tmpdir()]])(
  "%s cannot be started, and the error says so",
  async (program) => {
    for (const logFile of [undefined, join(cwd, "logs/out.log")]) {
      const options = { cwd, env: { PATH: "/usr/bin" }, ...(logFile === undefined ? {} : { logFile }) };
      await expect(runCommand([program], options)).rejects.toMatchObject({
        code: "EXECUTABLE_NOT_FOUND",
        message: `"${program}" cannot be run in ${cwd}: no such program, or not executable.`,
      });
    }
  },
);

test("a command that takes too long is stopped with all it started", async () => {
  const stay = "process.on('SIGTERM', () => {}); console.log(process.pid); setInterval(() => {}, 1000);";
  const code = `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(stay)}], { stdio: "inherit" }); setInterval(() => {}, 1000);`;
  const pids: number[] = [];
  const running = runCommand(node(code), { cwd, env: {}, timeoutMs: 500, onLine: (line) => pids.push(Number(line)) });
  await expect(running).rejects.toMatchObject({ code: "TIMEOUT", message: expect.stringContaining("within 500 ms") });
  expect(pids).toHaveLength(1);
  await until("the grandchild is gone", () => !isAlive(pids[0] ?? 0));
});

test("what a program leaves behind with its output does not keep us waiting, and is stopped", async () => {
  const code = `console.log(require("child_process").spawn("sleep", ["60"], { stdio: "inherit" }).pid); process.exit(0)`;
  const { exitCode, tail } = await runCommand(node(code), { cwd, env: { PATH: process.env["PATH"] ?? "" } });
  expect(exitCode).toBe(0);
  await until("the sleeper is gone", async () => (await startTimeOf(Number(tail[0]))) === undefined);
});
