import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import {
  findMarked,
  isAlive,
  killAll,
  killTree,
  listMarked,
  listProcesses,
  type ProcessInfo,
  startTimeOf,
  treeOf,
  valueInPsLine,
} from "./process-tree.ts";

let spawned: ChildProcess[] = [];
let pids: number[] = [];
afterEach(async () => {
  for (const child of spawned) child.kill("SIGKILL");
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  spawned = [];
  pids = [];
});

const stay = "setInterval(() => {}, 1000);";
const deaf = `process.on("SIGTERM", () => {}); ${stay}`;

/** Starts a node program and waits for the pids that it prints: its own, and those of its children if it has some. */
async function start(code: string, count: number, env: NodeJS.ProcessEnv = {}): Promise<number[]> {
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"], env });
  spawned.push(child);
  const found: number[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => found.push(Number(line)));
  await until(`${count} pids`, () => found.length === count);
  pids.push(...found);
  return [child.pid ?? 0, ...found.filter((pid) => pid !== child.pid)];
}

/** Code that runs other code in a child of its own, which prints its pid on our stdout. */
const inChild = (code: string, options = ""): string =>
  `console.log(process.pid);
   require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(code)}], { stdio: "inherit", ${options} });`;

const gone = (all: readonly number[]) => until("they are gone", () => all.every((pid) => !isAlive(pid)));

test("a tree is stopped whole, with a grandchild that ignores SIGTERM", async () => {
  const all = await start(`${inChild(`${inChild(`console.log(process.pid); ${deaf}`)} ${stay}`)} ${stay}`, 3);
  const tree = treeOf(all[0] ?? 0, await listProcesses());
  expect(tree.map((one) => one.pid).sort()).toEqual([...all].sort());
  await killTree(all[0] ?? 0, { graceMs: 200 });
  await gone(all);
});

test("what heeds SIGTERM may end by itself", async () => {
  const child = spawn(
    process.execPath,
    ["-e", `process.on("SIGTERM", () => process.exit(7)); console.log("up"); ${stay}`],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  spawned.push(child);
  await once(child.stdout, "data");
  const ended = once(child, "exit");
  await killTree(child.pid ?? 0);
  expect(await ended).toEqual([7, null]);
});

test("one that left its tree by setsid is found by its mark, whatever the mark holds", async () => {
  const value = `${randomUUID()} with blanks`;
  const escapee = inChild(`console.log(process.pid); ${deaf}`, "detached: true");
  const [parent = 0, child = 0] = await start(`${escapee} ${stay}`, 2, { AH_TEST_MARK: value });
  process.kill(parent, "SIGKILL");
  await until("the child is nobody's", async () => treeOf(parent, await listProcesses()).length <= 1);
  const marked = (await findMarked("AH_TEST_MARK", value)).filter((one) => one.pid !== parent);
  expect(marked).toEqual([expect.objectContaining({ pid: child, group: child })]);
  expect(await findMarked("AH_TEST_MARK", value.slice(0, -1))).toEqual([]);
  expect(await findMarked("TEST_MARK", value)).toEqual([]);
  const fitting = await listMarked("AH_TEST_MARK", (one) => one.startsWith(value.slice(0, 36)));
  expect(fitting.filter((one) => one.pid === child)).toEqual([expect.objectContaining({ value, group: child })]);
  await killAll(marked, { graceMs: 100 });
  await gone([child]);
});

test("a process that got the pid of one that ended is not killed", async () => {
  const [pid = 0] = await start(`console.log(process.pid); ${deaf}`, 1);
  const [info] = treeOf(pid, await listProcesses());
  const earlier: ProcessInfo = { ...(info as ProcessInfo), started: "Thu Jan  1 00:00:00 1970" };
  await killAll([earlier], { graceMs: 30 });
  expect(isAlive(pid)).toBe(true);
});

test("stopping what is not there does nothing", async () => {
  await killTree(4_190_000);
  await killAll([]);
});

test("the start time names a process: the same when asked again, another's differs, none when gone", async () => {
  const [pid = 0] = await start(`console.log(process.pid); ${stay}`, 1);
  const started = await startTimeOf(pid);
  expect(started).toMatch(/\d/);
  expect(await startTimeOf(pid)).toBe(started);
  expect(await startTimeOf(process.pid)).not.toBe(started);
  expect(await startTimeOf(4_190_000)).toBeUndefined();
});

test("every process is listed with its command line", async () => {
  const me = (await listProcesses()).find((one) => one.pid === process.pid);
  expect(me).toMatchObject({ parent: process.ppid, command: expect.stringContaining("node") });
  expect(me?.started).toMatch(/^\w{3} \w{3}\s+\d+ [\d:]{8} \d{4}$/);
});

test.runIf(process.platform === "linux")("without ps the same processes are listed", async () => {
  const [pid = 0] = await start(`console.log(process.pid); ${deaf}`, 1);
  const withPs = (await listProcesses()).find((one) => one.pid === pid);
  const path = process.env["PATH"];
  process.env["PATH"] = "/nowhere";
  try {
    const { started = "", ...without } = (await listProcesses()).find((one) => one.pid === pid) ?? {};
    const { started: byPs = "", ...info } = withPs ?? {};
    expect(without).toEqual(info);
    expect(started).toMatch(/^\w{3} \w{3}\s+\d+ [\d:]{8} \d{4}$/);
    expect(Math.abs(Date.parse(started) - Date.parse(byPs))).toBeLessThanOrEqual(2000);
    await killTree(pid, { graceMs: 30 });
  } finally {
    process.env["PATH"] = path;
  }
  await gone([pid]);
});

test("a variable in a line of ps, with blanks in it, at the end, not the end of another's name", () => {
  const line = "  71 node a.js NO_MARK=x MARK=/Users/a b/c HOME=/Users/a b LAST=1 2";
  expect(valueInPsLine(line, "MARK")).toBe("/Users/a b/c");
  expect(valueInPsLine(line, "LAST")).toBe("1 2");
  expect(valueInPsLine(line, "ARK")).toBeUndefined();
});

test("treeOf: the root first, what is below, never a circle", () => {
  const info = (pid: number, parent: number): ProcessInfo => ({ pid, parent, group: pid, started: "", command: "" });
  const all = [info(5, 4), info(1, 0), info(4, 2), info(2, 1), info(3, 1), info(0, 0)];
  expect(treeOf(2, all).map((one) => one.pid)).toEqual([2, 4, 5]);
  expect(treeOf(0, all)).toHaveLength(6);
  expect(treeOf(9, all)).toEqual([]);
});

test.runIf(process.platform === "linux")("a zombie that nobody collects has no start time: it has ended", async () => {
  // A parent that never waits: its child is a zombie for as long as it lives. It ends when its input does.
  const words = ["-c", "cat <&3 & echo $!; exec sleep 60 3<&-"];
  const parent = spawn("sh", words, { stdio: ["ignore", "pipe", "ignore", "pipe"] });
  try {
    const [pid] = (await once(parent.stdout as Readable, "data")) as [Buffer];
    // Until then it is a shell, which does wait.
    await until("the parent is a sleep", async () =>
      (await listProcesses()).some((one) => one.pid === parent.pid && one.command.startsWith("sleep 60")),
    );
    (parent.stdio[3] as Writable).end();
    await until("the child has ended", async () => (await startTimeOf(Number(pid))) === undefined);
    expect(isAlive(Number(pid))).toBe(true);
  } finally {
    parent.kill("SIGKILL");
  }
});

test("who asks while others look finds what had started before", async () => {
  let asking = true;
  const others = Array.from({ length: 4 }, async () => {
    while (asking) await listMarked("HARNESS_TEST_MARK", () => false);
  });
  for (let round = 0; round < 20; round += 1) {
    const value = randomUUID();
    // Whoever looks now has seen already which processes there are.
    await listMarked("HARNESS_TEST_MARK", () => false);
    const child = spawn("sleep", ["60"], {
      stdio: "ignore",
      env: { PATH: process.env["PATH"], HARNESS_TEST_MARK: value },
    });
    spawned.push(child);
    const found = await Promise.all([1, 2, 3].map(() => findMarked("HARNESS_TEST_MARK", value)));
    expect(found.map((all) => all.map((one) => one.pid))).toEqual([[child.pid], [child.pid], [child.pid]]);
  }
  asking = false;
  await Promise.all(others);
});
