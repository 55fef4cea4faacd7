import { describe, expect, test } from "vitest";
import { eventsOf, newDraft } from "../testing/drafts.ts";
import { fakeProvider } from "../testing/fake-provider.mjs";
import { decide, noteInput, noteInterrupt } from "./commands.ts";
import { hasLeftovers, noteDeletion, noteLoss, noteOwedInput, noteRefusal } from "./losses.ts";
import { ask } from "./transitions.ts";

const provider = fakeProvider("pi");
const providerSessionId = "s1";

describe("a lost program", () => {
  test("is gone on with once in the middle of a turn, then it has ended", () => {
    const draft = newDraft({ status: "processing", providerSessionId });
    noteLoss(draft, provider, 5);
    expect(draft).toMatchObject({ status: "starting", reason: "resumed: its keeper was lost while processing" });
    expect(draft.memory.launching).toMatchObject({ resume: "s1", task: expect.stringContaining("go on from there") });
    draft.status = "processing";
    noteLoss(draft, provider, 6);
    expect(draft).toMatchObject({ status: "exited", reason: "its keeper was lost while processing" });
  });

  test("is gone on with by the input that it has not got", () => {
    const draft = newDraft({ status: "idle", providerSessionId });
    noteInput(draft, provider, "one", 1);
    decide(draft, provider.ways.headless);
    noteInput(draft, provider, "two", 2);
    noteLoss(draft, provider, 5);
    expect(draft.memory.launching).toMatchObject({ task: "one\n\ntwo", resume: "s1" });
    expect(hasLeftovers(draft)).toBe(false);
  });

  test("has ended where it cannot be gone on with, was at rest, or was to end", () => {
    const before = newDraft({ status: "processing" });
    noteLoss(before, provider, 5);
    expect(before).toMatchObject({ status: "exited", reason: "its keeper was lost while processing" });
    const atRest = newDraft({ status: "idle", providerSessionId });
    noteLoss(atRest, provider, 5);
    expect(atRest).toMatchObject({ status: "exited", reason: "its keeper is gone" });
    const ending = newDraft({ status: "processing", providerSessionId });
    ending.memory.ending = "aborted";
    noteLoss(ending, provider, 5);
    expect(ending).toMatchObject({ status: "exited", reason: "aborted" });
    expect(ending.memory.ending).toBeUndefined();
  });

  test("has ended when its turn was aborted", () => {
    const aborted = newDraft({ status: "processing", providerSessionId });
    noteInterrupt(aborted, 1000, 4);
    noteLoss(aborted, provider, 5);
    expect(aborted).toMatchObject({ status: "exited", reason: "aborted: its keeper was lost while processing" });
  });

  test("asks no more, and is not about to be ended when it is started again", () => {
    const draft = newDraft({ status: "processing", providerSessionId });
    ask(draft, { id: "p1", kind: "permission", title: "May I", options: [], input: {} }, "protocol", 4);
    noteLoss(draft, provider, 5);
    expect(draft).toMatchObject({ status: "starting", memory: { pendings: [] } });
    expect(eventsOf(draft)).toContain("pending_resolved");
    const exited = newDraft({ status: "exited", providerSessionId });
    exited.memory.ending = "it said that it is over, and did not end";
    noteInput(exited, provider, "more", 6);
    expect(exited).toMatchObject({ status: "starting" });
    expect(exited.memory.ending).toBeUndefined();
  });
});

test("input that came too late for a program that has ended starts it again, or is given up by name", () => {
  const late = newDraft({ status: "processing", providerSessionId });
  noteInput(late, provider, "more", 1);
  late.status = "exited";
  noteOwedInput(late, provider, 2);
  expect(late.memory.launching).toMatchObject({ task: "more", resume: "s1" });
  const lost = newDraft({ status: "processing" });
  noteInput(lost, provider, "more", 1);
  lost.status = "exited";
  noteOwedInput(lost, provider, 2);
  expect(lost.events.at(-1)).toEqual({
    type: "error",
    data: { message: 'The session has ended before it got the input "more".' },
  });
  expect(hasLeftovers(lost)).toBe(false);
});

test("input that the keeper does not take is an error, and nobody waits for it", () => {
  const draft = newDraft({ status: "idle" });
  noteInput(draft, provider, "more", 1);
  decide(draft, provider.ways.headless);
  noteRefusal(draft, 2);
  expect(draft).toMatchObject({ status: "error", reason: "The input could not be given to the program." });
  expect(hasLeftovers(draft)).toBe(false);
});

test("a deletion says that the session has ended, when it had not", () => {
  const working = newDraft({ status: "processing" });
  noteDeletion(working, 5);
  expect(eventsOf(working)).toEqual(["→exited", "agent_exited", "agent_terminal_finalized", "agent_deleted"]);
  const ended = newDraft({ status: "exited" });
  noteDeletion(ended, 5);
  expect(eventsOf(ended)).toEqual(["agent_deleted"]);
});
