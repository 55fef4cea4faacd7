import { afterAll, beforeAll, expect, test } from "vitest";
import type { Store, StoredSession } from "../store/index.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";
import { newMemory } from "./memory.ts";
import { readMessages, readOutput } from "./output.ts";

let postgres: TestPostgres;
let here: TestStore;
let store: Store;
beforeAll(async () => {
  postgres = await openTestPostgres();
  here = await openTestStore(postgres);
  store = await here.open();
  await store.projects.add({ name: "p", cwd: "/p" });
});
afterAll(async () => {
  await here[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

/** A session that has said this, an event each. */
async function session(id: string, texts: readonly string[]): Promise<StoredSession> {
  await store.sessions.add({
    id,
    project: "p",
    provider: "codex",
    runIn: "headless",
    status: "idle",
    task: "do it",
    cwd: "/p",
    attachCommand: "tail",
    journal: "/home/journal.jsonl",
    state: { ...newMemory({}, 0) },
  });
  await store.events.append(texts.map((text) => ({ type: "output", project: "p", agentId: id, data: { text } })));
  const row = await store.sessions.find(id);
  if (row === undefined) throw new Error("it was not added");
  return row;
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => `line ${at + 1}`);

test("as many lines are shown as were asked for, from the end, in parts", async () => {
  const row = await session("parts", numbered(450));
  for (const lines of [1, 99, 100, 101, 250, 450]) {
    expect(await readOutput(store, row, lines)).toEqual({ output: numbered(450).slice(-lines).join("\n"), lines });
  }
  expect((await readOutput(store, row, 10_000)).lines).toBe(450);
});

test("an event of several lines is cut where they are enough", async () => {
  const row = await session("several", ["1\n2\n3", "4\n5\n6"]);
  expect(await readOutput(store, row, 4)).toEqual({ output: "3\n4\n5\n6", lines: 4 });
});

test("very long lines are not all read, whatever was asked for", async () => {
  const long = Array.from({ length: 120 }, (_, at) => `${at} ${"x".repeat(60_000)}`);
  const row = await session("long", long);
  const { output, lines } = await readOutput(store, row, 10_000);
  expect(output.length).toBeGreaterThan(4_000_000);
  expect(output.length).toBeLessThanOrEqual(4 * 1024 * 1024);
  expect(output).toBe(long.slice(-lines).join("\n"));
});

test("each message says where it was read itself", async () => {
  const row = await session("sources", []);
  const message = (id: string, role: string) => ({ id, at: 1, role, text: id, finishReason: null });
  await store.messages.put("sources", [
    { ...message("first", "user"), source: "session_log" },
    { ...message("second", "assistant"), source: "hook" },
    { ...message("third", "user"), source: "protocol" },
  ]);
  const { messages, last, source } = await readMessages(store, row, {});
  expect(messages.map((one) => one.source)).toEqual(["session_log", "hook", "protocol"]);
  expect([last?.source, source]).toEqual(["hook", "hook"]);
});
