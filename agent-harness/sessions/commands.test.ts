import { describe, expect, test } from "vitest";
import { eventsOf, newDraft } from "../testing/drafts.ts";
import { fakeProvider } from "../testing/fake-provider.mjs";
import { decide, noteAnswer, noteInput, noteInterrupt, noteLate } from "./commands.ts";
import { claudeCode } from "./providers/claude-code.ts";
import { newTerminalState } from "./providers/claude-code-state.ts";
import { inputOwed, readRecord } from "./reading.ts";
import type { Pending } from "./session.ts";
import { ask } from "./transitions.ts";

const provider = fakeProvider("pi");
const way = provider.ways.headless;
const pending: Pending = { id: "p1", kind: "permission", title: "rm x", options: [], input: {} };

describe("input", () => {
  test("takes a session at rest to work at once, and is owed until the journal has it", () => {
    const draft = newDraft({ status: "idle" });
    noteInput(draft, provider, "say more", 5);
    expect(eventsOf(draft)).toEqual(["input_sent", "→processing"]);
    const sending = decide(draft, way);
    expect(sending?.delivery).toEqual({ lines: ['{"input":"say more"}'] });
    // Asked again, after a crash, it is the same delivery under the same key.
    expect(decide(draft, way)).toBe(sending);
    expect(inputOwed(draft)).toBe(true);
    readRecord(draft, way, { n: 1, at: 6, from: "stdin", key: `${sending?.key}.0`, line: "" });
    expect(inputOwed(draft)).toBe(false);
    expect(decide(draft, way)).toBeUndefined();
  });

  test("waits for the first sign of life, and keeps its order", () => {
    const draft = newDraft();
    noteInput(draft, provider, "one", 5);
    noteInput(draft, provider, "two", 6);
    expect(decide(draft, way)).toBeUndefined();
    readRecord(draft, way, { n: 1, at: 6, from: "stdout", line: '{"event":"busy"}' });
    expect(decide(draft, way)?.delivery).toEqual({ lines: ['{"input":"one"}'] });
  });

  test("starts a session again that has ended, where it can be gone on with", () => {
    const draft = newDraft({ status: "exited", providerSessionId: "s1" });
    noteInput(draft, provider, "go on", 5);
    expect(draft.memory.launching).toMatchObject({ task: "go on", resume: "s1" });
    expect(draft.status).toBe("starting");
    expect(() => noteInput(newDraft({ status: "exited", reason: "exit code 1" }), provider, "go on", 5)).toThrow(
      "The session pi-brave-otter has ended (exit code 1), and it ended before it had a session of its own.",
    );
  });
});

describe("an answer", () => {
  test("is taken once; then its id is stale", () => {
    const draft = newDraft({ status: "processing" });
    ask(draft, pending, "protocol", 1);
    noteAnswer(draft, way, "p1", { decision: "allow" }, 2);
    expect(eventsOf(draft)).toEqual(["permission_requested", "→waiting_input", "pending_resolved", "→processing"]);
    expect(() => noteAnswer(draft, way, "p1", { decision: "deny" }, 3)).toThrow(
      "The session pi-brave-otter does not wait for p1; it waits for nothing.",
    );
    expect(decide(draft, way)?.delivery).toEqual({ lines: ['{"answer":"p1","value":"allow"}'] });
  });

  test("of the wrong kind is refused, and the question stays", () => {
    const draft = newDraft({ status: "processing" });
    ask(draft, pending, "protocol", 1);
    expect(() => noteAnswer(draft, way, "p1", { answers: { a: "b" } }, 2)).toThrow(
      "p1 is a permission; answers were given.",
    );
    expect(draft).toMatchObject({ status: "waiting_input", memory: { pendings: [{ id: "p1" }], commands: [] } });
  });
});

describe("an answer that comes too late", () => {
  test("is said to be, and the next command comes", () => {
    const draft = newDraft({ status: "processing" });
    ask(draft, pending, "protocol", 1);
    noteAnswer(draft, way, "p1", { decision: "allow" }, 2);
    decide(draft, way);
    noteInterrupt(draft, 1000, 3);
    noteLate(draft, way);
    expect(draft.events.at(-1)).toMatchObject({
      type: "error",
      data: { message: expect.stringContaining("too late") },
    });
    expect(decide(draft, way)?.kind).toBe("interrupt");
  });

  test("and was input is given as input, by claude in a terminal too", () => {
    const claude = claudeCode.ways.tmux;
    const draft = newDraft({ status: "processing" });
    draft.memory.reader = { ...newTerminalState("s", true), asked: { w1: { hash: "h", at: 1 } }, busy: true };
    noteInput(draft, claudeCode, "do that instead", 2);
    expect(decide(draft, claude)?.delivery).toMatchObject({ wait: "w1" });
    noteLate(draft, claude);
    expect(draft.memory.reader).toMatchObject({ answering: [] });
    expect(decide(draft, claude)?.delivery).toMatchObject({ paste: "do that instead" });
  });
});

describe("an interrupt", () => {
  test("is asked for once, and for nothing at rest", () => {
    const draft = newDraft({ status: "processing" });
    noteInterrupt(draft, 1000, 5);
    noteInterrupt(draft, 1000, 6);
    expect(draft.memory).toMatchObject({ commands: [{ kind: "interrupt" }], interruptBy: 1005 });
    const idle = newDraft({ status: "idle" });
    noteInterrupt(idle, 1000, 5);
    expect(idle.events).toEqual([]);
  });

  test("ends the program where only a signal can", () => {
    const draft = newDraft({ status: "processing" });
    noteInterrupt(draft, 1000, 5);
    expect(decide(draft, { ...way, interrupt: () => undefined })).toBeUndefined();
    expect(draft.memory.ending).toBe("aborted");
  });
});
