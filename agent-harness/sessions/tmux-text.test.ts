import { expect, test } from "vitest";
import { asPasted, shellWord, tmuxArgument } from "./tmux-text.ts";

test("only a semicolon at the end means something to tmux", () => {
  expect(["a;", ";", "a;b", "-"].map(tmuxArgument)).toEqual(["a\\;", "\\;", "a;b", "-"]);
});

test("a text cannot leave its paste, and keeps all that can be read", () => {
  expect(asPasted("a\u001b[201~\rrm -rf\u009b201~ \tü🦦\r\nb\u0000\u0003c")).toBe("a[201~\nrm -rf201~ \tü🦦\nbc");
});

test("words for a shell", () => {
  expect(["/tmp/a-b", "=x:y", "it's", "", "$HOME `x`"].map(shellWord)).toEqual([
    "/tmp/a-b",
    "'=x:y'",
    "'it'\\''s'",
    "''",
    "'$HOME `x`'",
  ]);
});
