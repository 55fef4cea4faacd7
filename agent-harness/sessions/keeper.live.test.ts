import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isRunning } from "../shared/process-tree.ts";
import {
  journalOf,
  type Keepers,
  lineProgram,
  linesOf,
  openKeepers,
  untilEnded,
  untilGone,
  untilLine,
} from "../testing/keepers.ts";
import { until } from "../testing/until.ts";
import { connectKeeper } from "./keeper-client.ts";
import { findKeeperRecord } from "./session-folder.ts";

let keepers: Keepers;
beforeEach(async () => {
  keepers = await openKeepers();
});
afterEach(async () => await keepers[Symbol.asyncDispose]());

const backend = lineProgram();

test("a program is started, told, heard, and its end told as it was", async () => {
  const place = keepers.place();
  expect(await keepers.start(place, { backend })).toMatchObject({ state: "running" });
  const client = await keepers.connect(place);
  expect(await client.write("hello 🦦", "a")).toBe(true);
  await untilLine(place, "got hello 🦦");
  await client.write("stderr oh", "b");
  await client.write("env AGENT_HARNESS_SESSION", "c");
  await client.write("env TMUX", "c2");
  await client.write("exit 7", "d");
  expect(await untilEnded(place)).toEqual({ code: 7, signal: null });
  const records = await journalOf(place);
  expect(records.map((one) => one.n)).toEqual(records.map((_, at) => at + 1));
  expect(records[0]).toMatchObject({ from: "started", argv: backend.argv });
  expect(await linesOf(place, "stdin")).toEqual([
    "hello 🦦",
    "stderr oh",
    "env AGENT_HARNESS_SESSION",
    "env TMUX",
    "exit 7",
  ]);
  expect(await linesOf(place, "stderr")).toEqual(["oh"]);
  expect(await linesOf(place, "stdout")).toContain(`AGENT_HARNESS_SESSION=${place.id}`);
  expect(await linesOf(place, "stdout")).toContain("TMUX=undefined");
});

test("a program that was killed is told with its signal", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  await (await keepers.connect(place)).write("kill SIGKILL", "a");
  expect(await untilEnded(place)).toEqual({ code: null, signal: "SIGKILL" });
});

test("one that ends at once was started, and has ended", async () => {
  const place = keepers.place();
  const { run } = await keepers.start(place, { backend: lineProgram("end", "4") });
  expect(await untilEnded(place)).toEqual({ code: 4, signal: null });
  expect(await keepers.start(place, { backend }, "headless", run)).toEqual({ run, state: "ended" });
  expect((await journalOf(place)).filter((one) => one.from === "started")).toHaveLength(1);
});

test("only its user sees what is in the folder", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const modes = [place.folder, place.order, place.keeper, place.journal, place.socket, place.log];
  const found = await Promise.all(modes.map(async (path) => ((await stat(path)).mode & 0o777).toString(8)));
  expect(found).toEqual(["700", "600", "600", "600", "600", "600"]);
});

test("the same key is written once, over a new connection and a new keeper too", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const first = await keepers.connect(place);
  expect(await first.write("one", "k1")).toBe(true);
  expect(await first.write("one", "k1")).toBe(false);
  await first[Symbol.asyncDispose]();
  const second = await keepers.connect(place);
  expect(await second.write("one", "k1")).toBe(false);
  expect(await second.deliver({ lines: ["two", "three"] }, "k2")).toBe(true);
  expect(await second.deliver({ lines: ["two", "three"] }, "k2")).toBe(false);
  await untilLine(place, "got three");
  await second.end({ graceMs: 1000 });
  await untilEnded(place);
  await keepers.start(place, { backend });
  const third = await keepers.connect(place);
  expect(await third.write("one", "k1")).toBe(false);
  expect(await third.write("four", "k4")).toBe(true);
  await untilLine(place, "got four");
  const got = (await linesOf(place, "stdout")).filter((line) => line.startsWith("got"));
  expect(got).toEqual(["got one", "got two", "got three", "got four"]);
  const records = await journalOf(place);
  expect(records.map((one) => one.n)).toEqual(records.map((_, at) => at + 1));
  expect(records.filter((one) => one.from === "exited")).toEqual([
    expect.objectContaining({ code: null, signal: "SIGTERM" }),
  ]);
});

test("a huge line, bytes that are no text, half a line at the end", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const client = await keepers.connect(place);
  await client.write("big 10000000", "a");
  await client.write("garbage", "b");
  await client.write(`${"y".repeat(3_000_000)}`, "c");
  await client.write("half no end", "d");
  await client.write("exit 0", "e");
  expect(await untilEnded(place, 30_000)).toEqual({ code: 0, signal: null });
  const [, big, ...rest] = await linesOf(place, "stdout");
  expect(big?.length).toBe(10_000_000);
  expect(rest).toEqual(["\u0000\u0001\u0002\ufffd\ufffd\ufffd\r(", "\u2028", `got ${"y".repeat(3_000_000)}`, "no end"]);
});

test("hooks are answered at once, those that wait when somebody answers", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const client = await keepers.connect(place);
  await client.hook({ event: "Stop" });
  await using waiting = await sendLine(place.socket, { hook: { event: "Ask" }, wait: "w1" });
  await until("it waits", async () => (await client.status()).waiting.includes("w1"));
  expect(await client.deliver({ wait: "w1", answer: { behavior: "allow" } }, "a1")).toBe(true);
  expect(JSON.parse(await waiting.answer)).toEqual({ behavior: "allow" });
  expect(await client.answer("w1", {}, "a1")).toBe(false);
  await expect(client.answer("w1", {}, "a2")).rejects.toMatchObject({ code: "PENDING_STALE" });
  const data = (await journalOf(place)).flatMap((one) => (one.from === "hook" ? [one.data] : []));
  expect(data).toEqual([{ event: "Stop" }, { event: "Ask" }]);
});

test("a hook that has gone waits no more, whatever it said last", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const client = await keepers.connect(place);
  const waiting = await sendLine(place.socket, { hook: { event: "Ask" }, wait: "w1" });
  await until("it waits", async () => (await client.status()).waiting.includes("w1"));
  waiting.say({ hook: { event: "Settled" } });
  await waiting[Symbol.asyncDispose]();
  await until("it has gone", async () => (await client.status()).waiting.length === 0);
  await expect(client.answer("w1", {}, "a1")).rejects.toMatchObject({ code: "PENDING_STALE" });
  expect((await journalOf(place)).filter((one) => one.from === "hook")).toHaveLength(2);
});

/** Sends one line to a socket, as a hook does, and waits for one. */
async function sendLine(path: string, request: unknown) {
  const socket = connect(path);
  await once(socket, "connect");
  const say = (line: unknown): void => void socket.write(`${typeof line === "string" ? line : JSON.stringify(line)}\n`);
  say(request);
  const answer = once(socket, "data").then(([chunk]) => String(chunk));
  const close = async (): Promise<void> => {
    const closed = once(socket, "close");
    socket.end();
    await closed;
  };
  return { say, answer, [Symbol.asyncDispose]: close };
}

test("what is no request is refused, and nothing breaks", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  for (const text of ["{", "7", '{"write":"x"}', '{"write":"a\\nb","key":"k"}', '{"paste":"x","key":"k"}', "\u0000"]) {
    await using asked = await sendLine(place.socket, text);
    expect(JSON.parse(await asked.answer)).toEqual({ error: expect.any(String) });
  }
  expect((await (await keepers.connect(place)).status()).state).toBe("running");
});

test("the end takes what left the tree by setsid and two forks, and is deaf to SIGTERM", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const client = await keepers.connect(place);
  await client.write("escape", "a");
  const escaped = Number((await untilLine(place, /^escaped/)).split(" ")[1]);
  expect(isRunning(escaped)).toBe(true);
  await client.end({ graceMs: 200 });
  await untilGone(escaped);
  expect(await untilEnded(place)).toEqual({ code: null, signal: "SIGTERM" });
  await expect(connectKeeper(place.socket)).rejects.toMatchObject({ code: "KEEPER_GONE" });
});

test("what a program leaves behind ends with it", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const client = await keepers.connect(place);
  await client.write("escape", "a");
  const escaped = Number((await untilLine(place, /^escaped/)).split(" ")[1]);
  await client.write("exit 0", "b");
  expect(await untilEnded(place)).toEqual({ code: 0, signal: null });
  expect(isRunning(escaped)).toBe(false);
});

test("a line for a program that has closed its input is refused, and can be tried again", async () => {
  const place = keepers.place();
  await keepers.start(place, { backend });
  const client = await keepers.connect(place);
  await client.write("deafen", "a");
  await untilLine(place, "deafened");
  const refused = { code: "KEEPER_FAILED", message: expect.stringContaining("reads nothing more") };
  // The first one that meets the closed pipe is lost with it.
  await until("it is known", () =>
    client.write("x", randomUUID()).then(
      () => false,
      () => true,
    ),
  );
  await expect(client.write("x", "b")).rejects.toMatchObject(refused);
  await expect(client.write("x", "b")).rejects.toMatchObject(refused);
  expect((await client.status()).state).toBe("running");
});

test("a program that is not there, a folder that is not there", async () => {
  const place = keepers.place();
  const missing = { argv: ["/nowhere/claude"] as [string], cwd: "/tmp", env: {} };
  await expect(keepers.start(place, { backend: missing })).rejects.toMatchObject({
    code: "EXECUTABLE_NOT_FOUND",
    message: '"/nowhere/claude" cannot be run in /tmp: no such program, or not executable.',
  });
  const elsewhere = keepers.place();
  await expect(keepers.start(elsewhere, { backend: { ...backend, cwd: "/nowhere" } })).rejects.toThrow(
    "there is no such folder",
  );
  expect(await findKeeperRecord(elsewhere)).toMatchObject({ failure: { code: "EXECUTABLE_NOT_FOUND" } });
});

test("a keeper that cannot work says why", async () => {
  const place = keepers.place();
  await mkdir(place.journal, { recursive: true });
  await expect(keepers.start(place, { backend })).rejects.toThrow(/EISDIR/);
  expect(await readFile(place.log, "utf8")).toContain("EISDIR");
});

test("lines that repeat are left out, files are followed", async () => {
  const place = keepers.place();
  const file = `${place.folder}/logs-1/a.jsonl`;
  const plan = { backend: lineProgram("lines", file), drop: ["got again"], follow: [`${place.folder}/logs-*/*.jsonl`] };
  await keepers.start(place, plan);
  const client = await keepers.connect(place);
  await client.write("again and again", "a");
  await mkdir(`${place.folder}/logs-1`);
  await client.write("append first", "b");
  await until("the line is there", async () => (await linesOf(place, "file")).includes("first"));
  await client.write("append second", "c");
  await client.write("exit 0", "d");
  await untilEnded(place);
  expect(await linesOf(place, "file")).toEqual(["first", "second"]);
  expect((await linesOf(place, "stdout")).join()).toMatch(/^up \d+$/);
  // Another run goes on where it was.
  await keepers.start(place, plan);
  const later = await keepers.connect(place);
  await later.write("append third", "e");
  await later.write("exit 0", "f");
  await untilEnded(place);
  expect(await linesOf(place, "file")).toEqual(["first", "second", "third"]);
});
