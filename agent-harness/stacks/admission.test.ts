import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { homePaths } from "../shared/paths.ts";
import type { ProgressEvent } from "../shared/progress.ts";
import { until } from "../testing/until.ts";
import { estimateOf, learn, type Measured } from "./admission/estimates.ts";
import { listReservations } from "./admission/reservations.ts";
import { roomFor } from "./admission/room.ts";
import { type AdmissionOptions, admit } from "./admission.ts";
import { emptyLedger } from "./empty-ledger.ts";
import { writeLedger } from "./ledger.ts";

const mb = 2 ** 20;
const key = { project: "small", repository: "/repo" };
let home: string;
let notes: string[];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-"));
  notes = [];
});
afterEach(async () => await rm(home, { recursive: true, force: true }));

/** Asks for room on a machine of 10 GB of which so much is available, half a GB of it a reserve. */
const ask = (id: number, availableMb: number | (() => number), more: Partial<AdmissionOptions> = {}) =>
  admit({
    paths: homePaths(home),
    id,
    key,
    env: { AGENT_HARNESS_MEMORY_RESERVE_MB: "512" },
    progress: (event: ProgressEvent) => {
      if (event.type === "note") notes.push(event.text);
    },
    memory: async () => {
      const available = typeof availableMb === "number" ? availableMb : availableMb();
      return { totalBytes: 10_240 * mb, availableBytes: available * mb };
    },
    ...more,
  });

test("a stack fits when the reserve stays free and the young ones get what they will need", () => {
  const question = { memory: { totalBytes: 1000, availableBytes: 500 }, reserveBytes: 100, estimateBytes: 200 };
  expect(roomFor({ ...question, young: [] })).toMatchObject({ fits: true, freeBytes: 400, promisedBytes: 0 });
  const young = [
    { id: 1, estimateBytes: 200, usedBytes: 50 },
    { id: 2, estimateBytes: 200, usedBytes: 900 },
  ];
  expect(roomFor({ ...question, young })).toMatchObject({ fits: true, freeBytes: 250, promisedBytes: 150 });
  expect(roomFor({ ...question, young, estimateBytes: 251 }).fits).toBe(false);
});

test("a project of which nothing ran counts 400 MB; then it is the median, and each stack counts once with its most", () => {
  expect(estimateOf({}, key)).toBe(400 * mb);
  let known: readonly Measured[] = [];
  for (const [at, bytes] of [100, 120, 110].entries()) known = learn(known, `${at}`, bytes);
  known = learn(known, "0", 300);
  expect(learn(known, "0", 250)).toBe(known);
  expect(known).toHaveLength(3);
  expect(estimateOf({ "small /repo": [...known] }, key)).toBe(120);
  expect(estimateOf({ "small /repo": [...known] }, { ...key, repository: "/other" })).toBe(400 * mb);
});

test("one that leaked neither decides for the others nor keeps its project out when it is the only one", () => {
  const leaked = learn(learn([], "leak", 100), "leak", 9_000 * mb);
  expect(estimateOf({ "small /repo": [...leaked] }, key)).toBe(1024 * mb);
  const large = learn(learn([], "large", 2_000 * mb), "large", 9_000 * mb);
  expect(estimateOf({ "small /repo": [...large] }, key)).toBe(8_000 * mb);
  const all = learn(learn(leaked, "a", 100), "b", 110);
  expect(estimateOf({ "small /repo": [...all] }, key)).toBe(110);
});

test("only the last twenty stacks count", () => {
  let known: readonly Measured[] = [];
  for (let at = 0; at < 45; at += 1) known = learn(known, `${at}`, at < 25 ? 9999 : 100);
  expect(known).toHaveLength(20);
  expect(estimateOf({ "small /repo": [...known] }, key)).toBe(100);
});

test("what does not fit is refused with the figures and what to do", async () => {
  await expect(ask(51, 800)).rejects.toMatchObject({
    code: "MEMORY_SHORT",
    kind: "unavailable",
    message:
      "Agent 51 does not fit into memory: a stack of small needs about 400 MB, and 288 MB are free (800 MB are available, less a reserve of 512 MB).",
    hint: expect.stringContaining("agent-harness launch 51 --wait"),
  });
  expect(await listReservations(homePaths(home))).toEqual([]);
});

test("of two launches at the same moment only one gets the last room, and gives it back", async () => {
  const both = await Promise.allSettled([ask(51, 1000), ask(52, 1000)]);
  expect(both.map((one) => one.status).sort()).toEqual(["fulfilled", "rejected"]);
  const refused = both.find((one) => one.status === "rejected");
  expect(refused?.reason).toMatchObject({ message: expect.stringContaining("400 MB that stacks just launched will") });
  const admitted = both.find((one) => one.status === "fulfilled");
  await admitted?.value[Symbol.asyncDispose]();
  await using room = await ask(53, 1000);
  expect(room).toBeDefined();
});

test("what a dead process was promised counts for nothing", async () => {
  await mkdir(join(home, "admission"));
  const dead = { id: 52, bytes: 900 * mb, pid: process.pid, started: "another time" };
  await writeFile(join(home, "admission", "52-x.json"), JSON.stringify(dead));
  await writeFile(join(home, "admission", "53-x.json"), '{"id": 53, "by');
  await using _room = await ask(51, 1000);
  expect((await readdir(join(home, "admission"))).filter((name) => name.endsWith("-x.json"))).toEqual([]);
});

test("a stack launched a moment ago has its room kept, one of an hour ago has taken it", async () => {
  const facts = { id: 52, workdir: "/repo", configPath: "/repo/agent-harness.yml", ...key };
  await writeLedger(homePaths(home), { ...emptyLedger(facts), status: "ready" });
  await expect(ask(51, 1000)).rejects.toMatchObject({ code: "MEMORY_SHORT", context: { promisedBytes: 400 * mb } });
  const old = { ...emptyLedger(facts), status: "ready", updatedAt: new Date(Date.now() - 3_600_000).toISOString() };
  await writeFile(join(home, "stacks", "52", "ledger.json"), JSON.stringify(old));
  await using room = await ask(51, 1000);
  expect(room).toBeDefined();
});

test("--no-admission goes on whatever the memory says, and the others know of it", async () => {
  await using _room = await ask(51, 0, { admission: false });
  await expect(ask(52, 1000)).rejects.toMatchObject({ code: "MEMORY_SHORT" });
});

test("those who wait are let in one after the other, before one who comes later", async () => {
  let available = 800;
  const admitted: number[] = [];
  const wait = async (id: number) => {
    const room = await ask(id, () => available, { wait: "long" });
    admitted.push(id);
    return room;
  };
  const first = wait(51);
  await until("the first waits", () => notes.some((one) => one.startsWith("Waiting for memory: a stack of small")));
  const second = wait(52);
  await until("the second waits", () => notes.some((one) => one.includes("behind pid")));
  expect(notes.at(-1)).toBe(`Waiting for memory behind pid ${process.pid} (launch of agent 51).`);
  await expect(ask(53, () => 1000)).rejects.toMatchObject({ message: expect.stringContaining("2 launches wait for") });
  available = 1000;
  const room = await first;
  expect(admitted).toEqual([51]);
  await room[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
  expect(admitted).toEqual([51, 52]);
});

test("waiting ends when its time is over", async () => {
  await expect(ask(51, 800, { wait: 30 })).rejects.toMatchObject({ code: "MEMORY_SHORT" });
  expect(notes).toHaveLength(1);
});

test.each(["-1", "512MB", "1e9"])("a reserve of %j is refused", async (text) => {
  await expect(ask(51, 800, { env: { AGENT_HARNESS_MEMORY_RESERVE_MB: text } })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining("AGENT_HARNESS_MEMORY_RESERVE_MB"),
  });
});

test("without the variable the reserve is 512 MB, or a twentieth of a large machine", async () => {
  const reserveOf = async (totalMb: number) => {
    const memory = async () => ({ totalBytes: totalMb * mb, availableBytes: 0 });
    return await ask(51, 0, { env: {}, memory }).catch((error) => error.context.reserveBytes / mb);
  };
  expect(await reserveOf(4096)).toBe(512);
  expect(await reserveOf(20_480)).toBe(1024);
});
