import { describe, expect, it } from "vitest";
import { decisionOf, pendingOf } from "./claude-code-pending.ts";

describe("questions of claude-code", () => {
  const colours = [{ label: "Red", description: "warm" }, { label: "Blue" }];
  const input = {
    questions: [
      { question: "Which colour?", header: "Colour", multiSelect: false, options: colours },
      { question: "Which sizes?", header: "Sizes", multiSelect: true, options: [{ label: "S" }, { label: "M" }] },
    ],
  };
  const asked = pendingOf("r1", { tool: "AskUserQuestion", input });

  it("have a key, options and whether several are taken, each of its own", () => {
    const base = { freeText: true, required: true };
    const red = { id: "Red", label: "Red", description: "warm" };
    const option = (id: string) => ({ id, label: id });
    expect(asked.questions).toEqual([
      {
        ...base,
        id: "1",
        header: "Colour",
        question: "Which colour?",
        options: [red, option("Blue")],
        multiSelect: false,
      },
      {
        ...base,
        id: "2",
        header: "Sizes",
        question: "Which sizes?",
        options: [option("S"), option("M")],
        multiSelect: true,
      },
    ]);
    expect(asked).toMatchObject({
      title: "Which colour? / Which sizes?",
      options: [{ id: "Colour: Red" }, { id: "Colour: Blue" }, { id: "Sizes: S" }, { id: "Sizes: M" }],
      input,
    });
  });

  it.each([
    [{ "Which colour?": "Red", "Which sizes?": ["S", "M"] }],
    [{ Colour: "Red", Sizes: ["S", "M"] }],
    [{ 1: ["Red"], 2: ["s", "m"] }],
  ])("are answered by %j", (answers) => {
    expect(decisionOf(asked, { answers: answers as Record<string, string | string[]> })).toEqual({
      behavior: "allow",
      updatedInput: { ...input, answers: { "Which colour?": "Red", "Which sizes?": "S, M" } },
    });
  });
});
