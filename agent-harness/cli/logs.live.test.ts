import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import type { LogLine } from "../stacks/index.ts";
import { build } from "../testing/crash.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { until } from "../testing/until.ts";

/* What real processes under PM2 print, and how it is read. */

let h: SmallHarness;
let repo: string;

/** Prints what it is asked to, on either stream and in pieces. */
const server = [
  'import { createServer } from "node:http";',
  "createServer((request, response) => {",
  '  const [, stream, text] = decodeURIComponent(request.url).split("/");',
  '  if (stream === "out") process.stdout.write(text);',
  '  if (stream === "err") process.stderr.write(text);',
  "  response.end();",
  '}).listen(Number(process.env.PORT), "127.0.0.1");',
  'console.log("listening");',
].join("\n");

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project({ "server.mjs": server, "agent-harness.yml": smallConfig() });
  for (const id of ["35", "36"]) await h.ok(repo, "launch", id);
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const say = async (id: number, stream: "out" | "err", text: string): Promise<void> => {
  await fetch(`http://127.0.0.1:${8000 + 10 * id}/${stream}/${encodeURIComponent(text)}`);
};
const logs = async (...argv: string[]): Promise<LogLine[]> =>
  JSON.parse((await h.harness(repo, "logs", "--json", ...argv)).stdout) as LogLine[];
const brief = (all: readonly LogLine[]): string[] =>
  all.map(({ agent, process, line }) => `${agent} ${process} ${line}`);

test("what several agents printed, together, each line with its time and stream", async () => {
  const before = Date.now();
  await say(35, "out", "one\n");
  await until("the first is there", async () => brief(await logs("35")).includes("35 api one"));
  await say(36, "err", "two: ü\n");
  await until("the second is there", async () => brief(await logs("36")).includes("36 api two: ü"));
  await say(35, "out", "three, ");
  await say(35, "out", "in two pieces\n");
  const all = await until("all of them", async () => {
    const found = await logs("api");
    return brief(found).includes("35 api three, in two pieces") && found;
  });
  const said = all.filter(({ line }) => line !== "listening");
  expect(brief(said)).toEqual(["35 api one", "36 api two: ü", "35 api three, in two pieces"]);
  expect(said.map((one) => one.stream)).toEqual(["out", "err", "out"]);
  for (const { time } of said) {
    expect(Date.parse(time ?? "")).toBeGreaterThanOrEqual(before);
    expect(Date.parse(time ?? "")).toBeLessThanOrEqual(Date.now());
  }
});

test("since a time: exactly what was printed since", async () => {
  const all = await logs("api");
  const two = all.find(({ line }) => line.startsWith("two"));
  expect(brief(await logs("api", "--since", two?.time ?? ""))).toEqual([
    "36 api two: ü",
    "35 api three, in two pieces",
  ]);
  expect(await logs("--since", "0s")).toEqual([]);
  const own = await h.ask(repo, "35", "logs", "--since", two?.time ?? "");
  expect(brief(own)).toEqual(["35 api three, in two pieces"]);
});

test("follow: what comes, also from an agent that is launched meanwhile; a document a line", async () => {
  const script = join(packageRoot(), "dist", "bin", "agent-harness.js");
  const argv = [script, "logs", "api", "--follow", "--json", "--lines", "1"];
  const child = spawn(process.execPath, argv, { cwd: repo, env: h.env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data) => (stdout += data));
  child.stderr.on("data", (data) => (stderr += data));
  const lines = (): string[] =>
    brief(
      stdout
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as LogLine),
    );
  await until("what was there", () => lines().length === 2);
  await say(36, "out", "new\n");
  await until("a new line", () => lines().includes("36 api new"));
  await h.ok(repo, "launch", "37");
  await until("a new agent, from its first line on", () => lines().includes("37 api listening"));
  await say(37, "out", "and more\n");
  await until("its next line", () => lines().includes("37 api and more"));
  expect(new Set(lines()).size).toBe(lines().length);
  // Its reader goes away, as `head` does: no error.
  child.stdout.destroy();
  await say(36, "out", "nobody reads this\n");
  const [code] = await once(child, "close");
  expect([code, stderr]).toEqual([0, ""]);
});

test("a process that crashes tells its last lines as it printed them, not as they are kept", async () => {
  const crash = 'console.log("about to crash");\nprocess.stderr.write("no such thing"); process.exit(3);';
  const config = smallConfig({ processes: "  api: { command: node crash.mjs }", settleMs: 5000 });
  const other = await h.project({ "agent-harness.yml": config, "crash.mjs": crash });
  const error = await h.refused(other, "launch", "38");
  expect(error).toMatchObject({ code: "HEALTH_FAILED" });
  expect(error.message).toMatch(/\nabout to crash\n.*no such thing/s);
  expect(error.message).not.toContain("timestamp");
  expect(await readFile(join(h.home, "stacks/38/logs/api.log"), "utf8")).toContain('"timestamp"');
  await h.ok(other, "teardown", "38");
});

test("a log that has become large is set aside when its process is started anew, and followed on", async () => {
  const log = join(h.home, "stacks/36/logs/api.log");
  await truncate(log, 65 * 1024 * 1024);
  expect((await h.agent(repo, "36", "restart", "api")).exitCode).toBe(0);
  expect((await stat(`${log}.1`)).size).toBeGreaterThanOrEqual(65 * 1024 * 1024);
  expect(brief(await logs("36", "api"))).toEqual(["36 api listening"]);
});
