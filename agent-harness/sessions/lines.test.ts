import { expect, test } from "vitest";
import { LineSplitter } from "./lines.ts";

/** All lines of a text that arrives in pieces of a size. */
function split(text: Buffer, size: number, longest?: number): string[] {
  const splitter = new LineSplitter(longest);
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += size) lines.push(...splitter.push(text.subarray(at, at + size)));
  return [...lines, ...splitter.end()];
}

test("lines end at LF and nowhere else, however the bytes arrive", () => {
  const lines = ["a\rb", "", "\u2028 \u2029 \u0085", "世界 🦦", "\r", "no end"];
  const text = Buffer.from(lines.join("\n"));
  for (let size = 1; size <= text.length; size += 1) expect(split(text, size)).toEqual(lines);
  expect(split(Buffer.from("a\n"), 1)).toEqual(["a"]);
});

test("a line without an end comes in pieces", () => {
  const lines = split(Buffer.from(`${"x".repeat(95)}\nshort\n`), 10, 40);
  expect(lines.map((line) => line.length)).toEqual([40, 40, 15, 5]);
});
