import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { localhostIsTheMachine } from "./localhost.ts";

const run = promisify(execFile);

/** What a program that the script starts is given, in a Node with the module. */
async function given(script: string, args: readonly string[]): Promise<string[]> {
  const env = { PATH: process.env["PATH"], PORT: "13001", NODE_OPTIONS: localhostIsTheMachine() };
  const node = ["--input-type=module", "--eval", script, "--", ...args];
  const { stdout } = await run(process.execPath, node, { env });
  return JSON.parse(stdout) as string[];
}

const rest = `(process.execPath, ["--eval", "console.log(JSON.stringify(process.argv.slice(1)))", "--", ...process.argv.slice(1)], { stdio: "inherit" })`;
const scripts = {
  "by the module's name": `import childProcess from "node:child_process"; childProcess.spawn${rest};`,
  "by the function's name": `import { spawn } from "child_process"; spawn${rest};`,
  "by require": `import { createRequire } from "node:module"; createRequire("/")("child_process").spawn${rest};`,
};
const ours = [
  "MAP localhost:13001 127.0.0.1:13001",
  "MAP 127.0.0.1:13001 127.0.0.1:13001",
  "MAP localhost host.docker.internal",
  "MAP 127.0.0.1 host.docker.internal",
  "MAP ::1 host.docker.internal",
  "MAP *.localhost host.docker.internal",
].join(",");

test.each(Object.entries(scripts))("a Chromium that is started %s is told where localhost is", async (_, script) => {
  expect(await given(script, ["--remote-debugging-port=0", "about:blank"])).toEqual([
    "--remote-debugging-port=0",
    "about:blank",
    `--host-resolver-rules=${ours}`,
  ]);
});

test("rules that a client asks for stay, and come first", async () => {
  const theirs = "--host-resolver-rules=MAP shop.test 10.0.0.1";
  const args = await given(scripts["by the module's name"], [theirs, "--remote-debugging-pipe"]);
  expect(args).toEqual(["--remote-debugging-pipe", `${theirs},${ours}`]);
});

test("other programs are started as they are", async () => {
  expect(await given(scripts["by the module's name"], ["--version"])).toEqual(["--version"]);
});

test("what compose is given has nothing that it, or Node, would read as its own", () => {
  expect(localhostIsTheMachine()).toMatch(/^--import=data:text\/javascript,[\w.%!~*'()-]+$/);
});
