import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { withLock } from "../shared/lock.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { writeLedger } from "./ledger.ts";
import { stackLock } from "./registry.ts";

let h: SmallHarness;
let repo: string;

const processes = [
  "  api:",
  "    command: node server.mjs",
  "    port: api",
  "    health: { path: /health, timeoutMs: 1500 }",
  "  brief:",
  "    command: node brief.mjs",
].join("\n");
/** Goes on, or ends after so many ms, as the file beside it says. */
const brief = [
  'import { existsSync } from "node:fs";',
  "setInterval(() => 0, 1000);",
  'if (existsSync("ends")) setTimeout(() => { console.log("gave up"); process.exit(1); }, 100);',
].join("\n");

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project({ "agent-harness.yml": smallConfig({ processes, settleMs: 600 }), "brief.mjs": brief });
  await h.ok(repo, "launch", "64");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

interface Failed {
  exitCode: number;
  stdout: string;
}

const restart = (...word: string[]): Promise<Failed> => h.agent(repo, "64", "restart", ...word, "--json");

test("a process that ends within the settle window has not been restarted", async () => {
  await writeFile(join(repo, "ends"), "");
  const { exitCode, stdout } = await restart("brief");
  expect(exitCode, stdout).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "HEALTH_FAILED" } });
  expect(stdout).toContain("gave up");
  await rm(join(repo, "ends"));
  expect((await restart("brief")).exitCode).toBe(0);
});

test("a process has the time that its own health check gives", async () => {
  const server = join(repo, "server.mjs");
  await writeFile(server, "setInterval(() => 0, 1000);");
  const start = performance.now();
  expect(await restart("api")).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("HEALTH_FAILED") });
  expect(performance.now() - start).toBeLessThan(20_000);
  await writeFile(
    server,
    'import { createServer } from "node:http"; createServer((_, r) => r.end()).listen(Number(process.env.PORT), "127.0.0.1");',
  );
  expect((await restart("api")).exitCode).toBe(0);
});

test("a restart waits for another command on the same stack, and finds what that one left", async () => {
  const before = await h.pids(64);
  let waiting: Promise<Failed> | undefined;
  let done = false;
  await withLock(stackLock(h.paths, 64), { doing: "a launch" }, async () => {
    waiting = restart("api").finally(() => (done = true));
    // Time enough to have restarted twice: a launch of the same stack takes as long.
    const end = Date.now() + 1000;
    while (Date.now() < end) expect((await h.pids(64))["agent-64-api"]).toBe(before["agent-64-api"]);
    expect(done).toBe(false);
  });
  expect(await waiting).toMatchObject({ exitCode: 0 });
  expect((await h.pids(64))["agent-64-api"]).not.toBe(before["agent-64-api"]);
});

test("a ledger of before, without times, is restarted by the defaults", async () => {
  const ledger = await h.ledger(64);
  for (const one of ledger.processes) {
    delete one.healthTimeoutMs;
    delete one.settleMs;
  }
  await writeLedger(h.paths, ledger);
  expect(await restart()).toMatchObject({ exitCode: 0 });
});
