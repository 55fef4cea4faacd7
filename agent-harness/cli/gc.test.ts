import { expect, test } from "vitest";
import type { GcItem } from "../stacks/index.ts";
import type { CommandContext } from "./command.ts";
import { gcCommand } from "./gc.ts";

const item: GcItem = { kind: "database", name: "agent_7", owner: 7, action: "removed", reason: "nobody owns it" };
const context = {} as CommandContext;

test("the exit code tells whether all could be looked at, not what was found", () => {
  const skipped: GcItem = { ...item, action: "skipped" };
  const codes = [
    [],
    [item],
    [skipped],
    [item, { ...skipped, code: "POSTGRES_UNAVAILABLE" }],
    [{ ...skipped, code: "GIT_FAILED" }],
  ];
  expect(codes.map((items) => gcCommand.exitCode?.(items))).toEqual([0, 0, 0, 6, 1]);
});

test("each thing has a line with what became of it and why", () => {
  const text = gcCommand.text?.(
    [item, { ...item, kind: "worktree", name: "/w", action: "kept", reason: "it has work" }],
    context,
  );
  expect(text?.split("\n").slice(1)).toEqual([
    "removed  database  agent_7      7  nobody owns it",
    "kept     worktree  /w           7  it has work",
    "",
  ]);
  expect(gcCommand.text?.([], context)).toBe("Nothing lies around without an owner.\n");
});
