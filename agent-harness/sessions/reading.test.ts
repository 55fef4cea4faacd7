import { describe, expect, test } from "vitest";
import { eventsOf, newDraft } from "../testing/drafts.ts";
import { fakeProvider } from "../testing/fake-provider.mjs";
import type { JournalRecord } from "./journal.ts";
import type { Draft } from "./memory.ts";
import { claudeCode } from "./providers/claude-code.ts";
import { newTerminalState } from "./providers/claude-code-state.ts";
import { readRecord } from "./reading.ts";
import { finalize, resolve } from "./transitions.ts";

const way = fakeProvider("pi").ways.headless;

type Told = {
  [From in JournalRecord["from"]]: Omit<Extract<JournalRecord, { from: From }>, "n" | "at">;
}[JournalRecord["from"]];

/** Reads records, numbered from 1, a second apart. */
function read(draft: Draft, ...records: Told[]): Draft {
  for (const [at, record] of records.entries())
    readRecord(draft, way, { ...record, n: at + 1, at: (at + 1) * 1000 } as JournalRecord);
  return draft;
}

const out = (event: Record<string, unknown>): Told => ({ from: "stdout", line: JSON.stringify(event) });
const asked = out({ event: "ask", id: "a", kind: "permission", title: "rm x" });

describe("a record of the journal", () => {
  test("becomes events, a status, messages and the next step of the handshake under the record's own key", () => {
    const draft = read(
      newDraft(),
      out({ event: "session", id: "s1" }),
      out({ event: "busy" }),
      out({ event: "say", id: "m1", text: "hello" }),
      out({ event: "idle" }),
    );
    expect(draft).toMatchObject({ status: "idle", providerSessionId: "s1", lastActivity: new Date(4000) });
    expect(draft.writes).toEqual([{ key: "1:0", line: '{"input":"say hello"}' }]);
    expect(eventsOf(draft)).toEqual(["→processing", "output", "→idle"]);
    expect(draft.events[0]?.data).toEqual({ from: "starting", to: "processing", source: "protocol" });
    expect(draft.messages).toEqual([
      { id: "m1", at: 3000, role: "assistant", text: "hello", finishReason: null, source: "protocol" },
    ]);
  });

  test("that is another session's status file is no sign of life", () => {
    const draft = newDraft({ status: "error" });
    draft.memory.stalled = true;
    draft.memory.reader = newTerminalState("s1", true);
    const { recordAt } = draft.memory;
    const claude = claudeCode.ways.tmux;
    const line = JSON.stringify({ sessionId: "s2", status: "busy", statusUpdatedAt: 8000 });
    readRecord(draft, claude, { n: 1, at: 9000, from: "file", path: "/x/1.json", line });
    expect(draft).toMatchObject({ status: "error", memory: { stalled: true, recordAt } });
    // A line of the session's own log is one.
    readRecord(draft, claude, { n: 2, at: 9000, from: "file", path: "/x/s.jsonl", line: "{}", file: "1:1", end: 2 });
    expect(draft).toMatchObject({ status: "processing" });
  });

  test("announces the rest with the last message, once, with an id that follows from the end of the turn", () => {
    const turn = [
      out({ event: "busy" }),
      out({ event: "say", id: "m1", text: "done" }),
      out({ event: "idle" }),
    ] as const;
    const [one, two] = [read(newDraft(), ...turn), read(newDraft(), ...turn)];
    finalize(one, 5000);
    finalize(one, 6000);
    finalize(two, 9000);
    const announced = one.events.filter(({ type }) => type === "agent_terminal_finalized");
    expect(announced).toHaveLength(1);
    expect(announced[0]?.data).toMatchObject({ status: "idle", lastMessage: "done", messageSource: "protocol" });
    expect(announced[0]?.data["deliveryId"]).toMatch(/^[0-9a-f]{24}$/);
    expect(two.events.at(-1)?.data["deliveryId"]).toBe(announced[0]?.data["deliveryId"]);
  });

  test("that asks waits for the input, with the oldest first, until all are answered", () => {
    const draft = read(
      newDraft(),
      asked,
      asked,
      out({ event: "ask", id: "b", kind: "question", title: "which?" }),
      out({ event: "busy" }),
    );
    expect(draft.status).toBe("waiting_input");
    expect(draft.memory.pendings.map(({ id }) => id)).toEqual(["a", "b"]);
    expect(eventsOf(draft)).toEqual(["permission_requested", "→waiting_input", "question_asked"]);
    resolve(draft, "a", { source: "manager", at: 1 }, "respond");
    expect(draft.status).toBe("waiting_input");
    resolve(draft, "b", { source: "manager", at: 1 }, "respond");
    expect(draft.status).toBe("processing");
    // The program lists it once more before it has read the answer.
    read(draft, asked);
    expect(draft.status).toBe("processing");
  });

  test("that ends the turn ends what was asked", () => {
    const draft = read(newDraft(), asked, out({ event: "failed", message: "no credit" }), out({ event: "idle" }));
    expect(draft).toMatchObject({ status: "error", reason: "no credit" });
    expect(draft.memory.pendings).toEqual([]);
    expect(eventsOf(draft)).toEqual(["permission_requested", "→waiting_input", "error", "→error", "pending_resolved"]);
  });

  test("from before the input that was just given does not end the turn of that input", () => {
    const draft = read(newDraft(), out({ event: "busy" }));
    draft.memory.awaiting = "input-1:0";
    read(draft, out({ event: "idle" }));
    expect(draft.status).toBe("processing");
    read(draft, { from: "stdin", key: "input-1:0", line: "{}" }, out({ event: "idle" }));
    expect(draft.status).toBe("idle");
  });

  test.each([
    [1, null, "exit code 1 while processing"],
    [null, "SIGKILL", "signal SIGKILL while processing"],
    [0, null, "exit code 0"],
  ])("of the end (%s, %s) says why", (code, signal, reason) => {
    const draft = read(newDraft(), out({ event: "busy" }), { from: "exited", code, signal }, out({ event: "idle" }));
    expect(draft).toMatchObject({ status: "exited", reason });
    expect(draft.events.at(-1)).toEqual({ type: "agent_exited", data: { exitCode: code, signal, reason } });
  });

  test("that nobody understands is kept, and one that breaks the driver breaks nothing else", () => {
    const draft = read(newDraft(), out({ event: "news" }), { from: "stdout", line: "\u0000half" });
    expect(eventsOf(draft)).toEqual(["unknown", "unknown"]);
    const broken = {
      ...way,
      read: () => {
        throw new TypeError("no such field");
      },
    };
    readRecord(draft, broken, { n: 9, at: 9, from: "stdout", line: "{}" });
    expect(draft.events.at(-1)).toEqual({
      type: "error",
      data: { message: "The driver of pi failed on record 9: no such field" },
    });
  });

  test("with a text of a megabyte is cut, and says so", () => {
    const draft = read(newDraft(), out({ event: "say", id: "m", text: "x".repeat(2 ** 20) }));
    expect(String(draft.events[0]?.data["text"]).length).toBeLessThan(70_000);
    expect(draft.events[0]?.data["truncated"]).toBe(true);
  });
});
