import { describe, expect, it } from "vitest";
import { EventFilter } from "./opencode-filter.ts";

const part = (properties: object) => ({ type: "message.part.updated", properties: { part: properties } });
const tool = (status: string, output: string) =>
  part({ id: "prt_1", type: "tool", state: { status, input: { command: "make" }, metadata: { output } } });

describe("the events of opencode that are kept", () => {
  it("a tool that runs is told once, however much it prints, and again when it has ended", () => {
    const filter = new EventFilter();
    const kept = [tool("running", ""), tool("running", "a"), tool("running", "ab"), tool("completed", "ab")];
    expect(kept.map((one) => filter.keeps(one))).toEqual([true, false, false, true]);
  });

  it("a text counts when it is whole", () => {
    const filter = new EventFilter();
    expect(filter.keeps(part({ type: "text", text: "", time: { start: 1 } }))).toBe(false);
    expect(filter.keeps(part({ type: "text", text: "All.", time: { start: 1, end: 2 } }))).toBe(true);
    expect(filter.keeps(part({ type: "text", text: "What a person said." }))).toBe(true);
    expect(filter.keeps({ type: "message.part.delta", properties: { delta: "A" } })).toBe(false);
  });

  it("what it does not know is kept", () => {
    const filter = new EventFilter();
    expect([{ type: "news", properties: {} }, { type: "news" }, {}].map((one) => filter.keeps(one))).toEqual([
      true,
      true,
      true,
    ]);
    expect(filter.keeps({ type: "server.heartbeat", properties: {} })).toBe(false);
  });
});
