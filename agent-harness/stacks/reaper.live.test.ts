import { existsSync } from "node:fs";
import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findText } from "../shared/files.ts";
import { reaperProcessName } from "../shared/names.ts";
import { isAlive } from "../shared/process-tree.ts";
import { findProcesses } from "../shared/processes.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { until } from "../testing/until.ts";
import { hasUsers, lastUsed } from "./use.ts";

let h: SmallHarness;
let repo: string;
let worktrees: string;
const limitMs = 30_000;

beforeAll(async () => {
  h = await openSmall();
  h.env["AGENT_HARNESS_REAPER_MS"] = "100";
  worktrees = await realpath(await mkdtemp(join(tmpdir(), "ah-worktrees-")));
  // Without a health check: its questions would be connections, which are seen for a minute.
  const processes = "  api:\n    command: node server.mjs\n    port: api";
  const rest = `worktree: { root: ${worktrees} }`;
  repo = await h.project({ "agent-harness.yml": smallConfig({ processes, rest }) });
});
afterAll(async () => {
  await h?.[Symbol.asyncDispose]();
  await rm(worktrees, { recursive: true, force: true });
});

interface Shown {
  status: string;
  stopped?: { reason: string };
  expiresAt?: string;
  idleMs?: number;
}
const shown = async (id: number): Promise<Shown> =>
  (JSON.parse((await h.harness(repo, "status", String(id), "--json")).stdout) as Shown[])[0] ?? { status: "none" };
const untilStopped = (id: number) =>
  until(`agent ${id} is stopped`, async () => (await h.ledger(id)).status === "stopped", limitMs);
const untilGone = (id: number) =>
  until(`agent ${id} is gone`, async () => !existsSync(join(h.paths.stacks, String(id))), limitMs);
const reaperPid = async (): Promise<number | undefined> => {
  const text = await findText(h.paths.reaper);
  const pid = text === undefined ? undefined : (JSON.parse(text) as { pid: number }).pid;
  return pid !== undefined && isAlive(pid) ? pid : undefined;
};
const underPm2 = async (): Promise<string[]> => {
  await using pm2 = await findProcesses(h.paths.pm2);
  return ((await pm2?.list()) ?? []).map((one) => one.name);
};

/** A connection that is open; undefined while nobody listens. */
const connectTo = (port: number): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
  });

test("a stack that nobody uses is stopped, keeps its data, and a launch brings it back with its limit", async () => {
  await h.ok(repo, "launch", "49", "--idle", "1s");
  await h.sql("agent_49", "INSERT INTO notes (text) VALUES ('kept')");
  await untilStopped(49);
  expect(await h.pids(49)).toEqual({});
  const { exitCode, stdout } = await h.harness(repo, "status", "49");
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(
    /agent 49 {2}stopped .*\n {2}stopped: idle for \d+ s; agent-harness launch 49 brings it back\n/,
  );
  expect(await readFile(join(h.paths.logs, "reaper.log"), "utf8")).toMatch(/agent 49 stopped: idle for \d+ s\n/);
  // With nothing left to watch the reaper has gone, and PM2 does not bring it back.
  await until("the reaper is gone", async () => !(await underPm2()).includes(reaperProcessName), limitMs);
  await h.ok(repo, "launch", "49");
  expect(await h.ledger(49)).toMatchObject({ status: "ready", idleMs: 1000 });
  expect(await h.sql("agent_49", "SELECT text FROM notes WHERE text = 'kept'")).toHaveLength(1);
  await untilStopped(49);
  await h.ok(repo, "teardown", "49");
});

test("a connection keeps a stack alive, and so does a command that works with it", async () => {
  await h.ok(repo, "launch", "49", "--idle", "2s");
  const start = Date.now();
  const socket = await until("somebody listens", () => connectTo(8490));
  const usedAfter = (ms: number) => async () => ((await lastUsed(h.paths, 49)) ?? 0) > start + ms;
  await until("it was seen in use", usedAfter(4500), limitMs);
  expect((await h.ledger(49)).status).toBe("ready");
  const wait = 'const { existsSync } = require("fs"); setInterval(() => existsSync("end") && process.exit(0), 20)';
  const exec = h.agent(repo, "49", "exec", "node", "-e", wait);
  await until("the command runs", () => hasUsers(h.paths, 49));
  socket.resetAndDestroy();
  await until("it was seen in use again", usedAfter(8000), limitMs);
  expect((await h.ledger(49)).status).toBe("ready");
  await writeFile(join(repo, "end"), "");
  expect(await exec).toMatchObject({ exitCode: 0 });
  await untilStopped(49);
  await rm(join(repo, "end"));
});

test("agent-cli restart brings a stopped stack back", async () => {
  expect(await h.ledger(49)).toMatchObject({ status: "stopped" });
  await h.ask(repo, "49", "restart", "api");
  expect((await h.ledger(49)).stopped).toBeUndefined();
  await untilStopped(49);
  await h.ok(repo, "teardown", "49");
});

test("a stack whose time is over is torn down, and the reaper goes with the last one", async () => {
  await h.ok(repo, "launch", "52", "--ttl", "1s");
  await untilGone(52);
  expect(await h.left(52)).toEqual([]);
  await until("the reaper is gone", async () => !(await underPm2()).includes(reaperProcessName), limitMs);
  expect(await readFile(join(h.paths.logs, "reaper.log"), "utf8")).toContain(
    "agent 52 torn down: its time was over at",
  );
});

test("with unsaved work in its worktree it is only stopped, says why, and goes when the work is safe", async () => {
  await h.ok(repo, "launch", "53", "--worktree", "--ttl", "4s");
  const file = join(worktrees, "agent-53", "work.txt");
  await writeFile(file, "work");
  await untilStopped(53);
  expect((await shown(53)).stopped?.reason).toMatch(
    /not torn down: .*agent-53 of agent 53 has 1 uncommitted file \(work\.txt\)/,
  );
  expect(await readFile(file, "utf8")).toBe("work");
  expect(await h.pids(53)).toEqual({});
  await rm(file);
  await untilGone(53);
  expect(await h.left(53)).toEqual([]);
  expect(existsSync(join(worktrees, "agent-53"))).toBe(false);
});

test("a stack whose launch failed is left for inspection until its time is over, and no longer", async () => {
  const processes = "  api:\n    command: node missing.mjs";
  const broken = await h.project({ "agent-harness.yml": smallConfig({ processes, settleMs: 1500 }) });
  expect(await h.refused(broken, "launch", "57", "--ttl", "6s", "--idle", "1s")).toMatchObject({
    code: "HEALTH_FAILED",
  });
  expect(await h.ledger(57)).toMatchObject({ status: "failed" });
  await untilGone(57);
  expect(await h.left(57, broken)).toEqual([]);
});

test("a stack whose time is over while infra is down is stopped, and torn down when infra is back", async () => {
  await h.ok(repo, "launch", "56", "--ttl", "4s");
  await h.ok(repo, "infra", "down", "--force");
  await untilStopped(56);
  expect((await shown(56)).stopped?.reason).toContain("it was not torn down: infra is down.");
  await h.ok(repo, "infra", "up");
  await untilGone(56);
  expect(await h.left(56)).toEqual([]);
});

test("the last teardown ends the reaper; limits are kept over a relaunch, and taken away by `none`", async () => {
  await h.ok(repo, "launch", "54", "--ttl", "2h", "--idle", "1h");
  const { expiresAt } = await shown(54);
  await h.ok(repo, "launch", "54");
  expect(await shown(54)).toMatchObject({ status: "ready", expiresAt, idleMs: 3_600_000 });
  expect((await h.ok(repo, "status", "54")).stdout).toContain("torn down in 119 min");
  expect(await reaperPid()).toBeDefined();
  await h.ok(repo, "launch", "54", "--ttl", "none", "--idle", "none");
  expect(await reaperPid()).toBeUndefined();
  await h.ok(repo, "launch", "54", "--ttl", "2h");
  expect(await reaperPid()).toBeDefined();
  await h.ok(repo, "teardown", "54");
  expect(await reaperPid()).toBeUndefined();
  expect(await underPm2()).not.toContain(reaperProcessName);
});

test("a killed reaper comes back, also when PM2 was killed with it: by the next command", async () => {
  await h.ok(repo, "launch", "55", "--idle", "1h");
  const first = await until("a reaper runs", reaperPid);
  process.kill(first, "SIGKILL");
  const second = await until("another one runs", async () => ((await reaperPid()) === first ? undefined : reaperPid()));
  process.kill(Number(await readFile(join(h.paths.pm2, "pm2.pid"), "utf8")), "SIGKILL");
  process.kill(second, "SIGKILL");
  await until("it is gone", () => !isAlive(second));
  await h.harness(repo, "status");
  const third = await until("a third one runs", reaperPid);
  expect([first, second]).not.toContain(third);
  await h.ok(repo, "launch", "55", "--ttl", "1s");
  await untilGone(55);
});
