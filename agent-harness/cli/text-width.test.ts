import { describe, expect, test } from "vitest";
import { cutTo, fillTo, onOneLine, textWidth } from "./text-width.ts";

describe("how many columns a text takes", () => {
  test.each([
    ["", 0],
    ["plain text", 10],
    ["\x1b[31mred\x1b[0m", 3],
    ["über", 4],
    ["u\u0308ber", 4],
    ["日本語", 6],
    ["한국어", 6],
    ["ｆｕｌｌ", 8],
    ["a✔b✖", 4],
    ["🚀", 2],
    ["👩‍💻", 2],
    ["🇩🇪", 2],
    ["❤️", 2],
    ["zero\u200bwidth", 9],
  ])("%j: %d", (text, width) => {
    expect(textWidth(text)).toBe(width);
  });
});

describe("cutting and filling", () => {
  test.each([
    ["agent/3", 7, "agent/3"],
    ["agent/31", 7, "agent/…"],
    ["日本語", 6, "日本語"],
    ["日本語", 5, "日本…"],
    ["日本語", 4, "日…"],
    ["🚀🚀", 3, "🚀…"],
    ["abc", 1, "…"],
    ["abc", 0, ""],
  ])("%j to %d: %j", (text, width, cut) => {
    expect(cutTo(text, width)).toBe(cut);
    expect(textWidth(cut)).toBeLessThanOrEqual(width);
  });

  test("blanks on either side, counted by columns", () => {
    expect(fillTo("日本", 6)).toBe("日本  ");
    expect(fillTo("7", 3, "right")).toBe("  7");
    expect(fillTo("long", 2)).toBe("long");
  });
});

test("what would move the cursor is taken out", () => {
  expect(onOneLine("one\r\n\ttwo\x1b[2J\x1b]0;title\x07 \u2028three\x9b\n")).toBe("one two three");
});
