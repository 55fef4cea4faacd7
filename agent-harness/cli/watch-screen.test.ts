import { expect, test } from "vitest";
import { changesText } from "./watch-screen.ts";

const inOne = (text: string): string => `\x1b[?2026h${text}\x1b[?2026l`;

test("only lines that differ are printed, in one piece", () => {
  expect(changesText([], ["one", "two"], 10)).toBe(inOne("\x1b[1;1Hone\x1b[K\x1b[2;1Htwo\x1b[K"));
  expect(changesText(["one", "two", "three"], ["one", "2", "three"], 10)).toBe(inOne("\x1b[2;1H2\x1b[K"));
  expect(changesText(["one"], ["one"], 10)).toBe("");
});

test("lines that are gone are emptied", () => {
  expect(changesText(["one", "two"], ["one"], 10)).toBe(inOne("\x1b[2;1H\x1b[K"));
});

test("a line that fills the terminal keeps its last letter", () => {
  expect(changesText([], ["\x1b[31m12345\x1b[0m"], 5)).toBe(inOne("\x1b[1;1H\x1b[31m12345\x1b[0m"));
});
