import { expect, test, vi } from "vitest";
import { eventsOf, newDraft } from "../testing/drafts.ts";
import { fakeProvider } from "../testing/fake-provider.mjs";
import type { Draft } from "./memory.ts";
import { readRecord } from "./reading.ts";
import { findOverdue, judge, SleepWatch } from "./watchdogs.ts";

const awake = { now: 0, awakeSince: 0, resumable: true, lives: true };

const limits = {
  spawnMs: 1000,
  noOutputMs: 2000,
  toolMs: 60_000,
  exitMs: 3000,
  interruptMs: 500,
  idleMs: 5000,
  leaseMs: 1000,
  graceMs: 100,
  quietMs: 100,
};

const withMemory = (draft: Draft, change: Partial<Draft["memory"]>): Draft => ({
  ...draft,
  memory: { ...draft.memory, ...change },
});
const tools = { t1: "bash" };

test.each<[string, Draft, number, string | undefined]>([
  ["starting", newDraft(), 999, undefined],
  ["starting", newDraft(), 1001, "no sign of life for 1 s after its start"],
  ["processing", newDraft({ status: "processing" }), 2001, "no output for 2 s"],
  ["processing with a tool", withMemory(newDraft({ status: "processing" }), { tools }), 59_000, undefined],
  ["processing with a tool", withMemory(newDraft({ status: "processing" }), { tools }), 60_001, "no output for 60 s"],
  ["waiting for a person", newDraft({ status: "waiting_input" }), 10 ** 9, undefined],
  ["over by its own word", newDraft({ status: "exited", reason: "done" }), 3001, "done"],
  ["idle", newDraft({ status: "idle" }), 4999, undefined],
  ["idle", newDraft({ status: "idle" }), 5001, "at rest for 5 s"],
  [
    "interrupted",
    withMemory(newDraft({ status: "processing" }), { interruptBy: 500 }),
    501,
    "aborted: its turn did not end when it was interrupted",
  ],
  [
    "interrupted, with other limits",
    withMemory(newDraft({ status: "processing" }), { interruptBy: 9000 }),
    8999,
    undefined,
  ],
  [
    "silent and interrupted",
    withMemory(newDraft({ status: "error" }), { interruptBy: 500, stalled: true }),
    501,
    "aborted: its turn did not end when it was interrupted",
  ],
  ["about to be ended", withMemory(newDraft(), { ending: "deleted" }), 10 ** 9, undefined],
])("a session that is %s", (_, draft, now, reason) => {
  expect(findOverdue(draft, limits, { ...awake, now })?.reason).toBe(reason);
});

test("what a sleeping machine did not do has not taken long", () => {
  const slept = { ...awake, now: 100_000, awakeSince: 99_900 };
  for (const draft of [newDraft(), newDraft({ status: "processing" }), newDraft({ status: "idle" })])
    expect(findOverdue(draft, limits, slept)).toBeUndefined();
  expect(findOverdue(newDraft(), limits, { ...slept, now: 10 ** 9 })).toBeDefined();
});

test("sleep is noticed by the clock, which goes on, and time, which does not", () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const watch = new SleepWatch();
    expect(watch.awakeSince(Date.now())).toBe(0);
    vi.setSystemTime(Date.now() + 3_600_000);
    const woke = Date.now();
    expect(watch.awakeSince(woke)).toBe(woke);
    expect(watch.awakeSince(woke + 1000)).toBe(woke);
  } finally {
    vi.useRealTimers();
  }
});

test("one that has ended is not ended again when its keeper is gone", () => {
  const over = newDraft({ status: "exited" });
  expect(findOverdue(over, limits, { ...awake, now: 10 ** 9 })).toMatchObject({ kind: "end" });
  expect(findOverdue(over, limits, { ...awake, now: 10 ** 9, lives: false })).toBeUndefined();
});

test("a limit of 0 is none, and what cannot be resumed is not ended at rest", () => {
  const off = { ...limits, noOutputMs: 0, spawnMs: 0 };
  expect(findOverdue(newDraft(), off, { ...awake, now: 10 ** 9 })).toBeUndefined();
  expect(findOverdue(newDraft({ status: "processing" }), off, { ...awake, now: 10 ** 9 })).toBeUndefined();
  expect(
    findOverdue(newDraft({ status: "idle" }), limits, { ...awake, now: 10 ** 9, resumable: false }),
  ).toBeUndefined();
});

test("a silent session is an error until it speaks again", () => {
  const draft = newDraft({ status: "processing" });
  judge(draft, { kind: "stall", reason: "no output for 2 s" }, 5000);
  expect(draft).toMatchObject({ status: "error", reason: "no output for 2 s" });
  readRecord(draft, fakeProvider().ways.headless, {
    n: 1,
    at: 6000,
    from: "stdout",
    line: '{"event":"say","id":"m","text":"back"}',
  });
  expect(draft.status).toBe("processing");
  expect(eventsOf(draft)).toEqual(["error", "→error", "agent_terminal_finalized", "→processing", "output"]);
});
