import { describe, expect, test } from "vitest";
import { eventsOf, newDraft } from "../testing/drafts.ts";
import { fakeProvider } from "../testing/fake-provider.mjs";
import { decide, noteAnswer, noteInput, noteInterrupt, noteLate } from "./commands.ts";
import { claudeCode } from "./providers/claude-code.ts";
import { newTerminalState } from "./providers/claude-code-state.ts";
import { asQuestions, fitAnswers } from "./questions.ts";
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

describe("answers to questions", () => {
  const options = ["Red", "Blue"].map((one) => ({ id: one, label: one }));
  const questions = asQuestions([
    { header: "Colour", question: "Which colour?", options },
    {
      header: "Sizes",
      question: "Which sizes?",
      options: [{ id: "s", label: "Small" }],
      multiSelect: true,
      freeText: false,
    },
    { id: "why", question: "Why?", required: false },
  ]);
  const asked: Pending = { id: "q1", kind: "question", title: "Which?", options, questions, input: {} };
  const answer = (answers: Record<string, string | string[]>, what: Pending = asked) => {
    const draft = newDraft({ status: "processing" });
    ask(draft, what, "protocol", 1);
    const given = (): string => {
      noteAnswer(draft, way, "q1", { answers }, 2);
      return draft.status;
    };
    return { draft, given };
  };

  test.each([
    [{ "Which colour?": "Red", "Which sizes?": ["s"] }],
    [{ Colour: "any other", Sizes: ["small"], why: "So." }],
    [{ 1: "Blue", 2: "s", "Why?": "So." }],
  ])("%j fit", (answers) => {
    expect(answer(answers as Record<string, string>).given()).toBe("processing");
  });

  test.each([
    [{ bogus: "Red" }, '"bogus" is none of its questions; "Which colour?" has no answer; "Which sizes?" has no answer'],
    [{}, '"Which colour?" has no answer; "Which sizes?" has no answer.'],
    [{ 1: "Red" }, 'do not fit q1: "Which sizes?" has no answer.'],
    [{ 1: "Red", 2: [] }, '"Which sizes?" has no answer.'],
    [{ 1: " ", 2: "s" }, '"Which colour?" has no answer.'],
    [{ 1: "Red", 2: "s", 4: "x" }, '"4" is none of its questions.'],
    [{ 1: "Red", Colour: "Blue", 2: "s" }, '"Which colour?" is answered twice.'],
    [{ 1: ["Red", "Blue"], 2: "s" }, '"Which colour?" takes one answer.'],
    [{ 1: "Red", 2: ["s", "xl"] }, '"Which sizes?" takes "s", not "xl".'],
  ])("%j do not, and the question stays", (answers, message) => {
    const { draft, given } = answer(answers as Record<string, string>);
    expect(given).toThrow(
      expect.objectContaining({
        code: "INVALID_REQUEST",
        message: expect.stringContaining(message),
        hint: 'Its questions, by the keys of their answers: "1" (Which colour?), "2" (Which sizes?), "why" (Why?).',
      }),
    );
    expect(draft).toMatchObject({ status: "waiting_input", memory: { pendings: [{ id: "q1" }], commands: [] } });
  });

  test("are told with the event, and a decision is told what they are", () => {
    const { draft } = answer({});
    expect(draft.events[0]).toMatchObject({ type: "question_asked", data: { questions } });
    expect(() => noteAnswer(draft, way, "q1", { decision: "allow" }, 2)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('"1" (Which colour?)') }),
    );
  });

  test("of what was asked before they had keys are given as they are", () => {
    const { questions: _, ...old } = asked;
    expect(answer({ any: "Red" }, old).given()).toBe("processing");
  });

  test("may be named by nothing that two questions share", () => {
    const both = asQuestions([{ header: "H", question: "A?" }, { header: "H", question: "B?" }, { question: "1" }]);
    expect(fitAnswers(both, { H: "x" }).wrong).toHaveLength(4);
    expect(fitAnswers(both, { 1: "a", "B?": "b", 3: "c" })).toEqual({ answers: [["a"], ["b"], ["c"]], wrong: [] });
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
