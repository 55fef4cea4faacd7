import { expect, test } from "vitest";
import { parseDuration, roughly } from "./duration.ts";

test.each([
  ["90s", 90_000],
  ["30m", 1_800_000],
  ["1h30m", 5_400_000],
  ["2d", 172_800_000],
  ["0s", 0],
])("%s is %d ms", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(["", "30", "m", "1.5h", "-3m", "3 m", "3w", "1h 30m", "9999999d"])("%j is no length of time", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  [0, "0 s"],
  [45_000, "45 s"],
  [119_000, "119 s"],
  [31 * 60_000, "31 min"],
  [90 * 60_000, "90 min"],
  [3 * 3_600_000, "3 h"],
  [50 * 3_600_000, "2 d"],
])("%d ms is %s for people", (ms, text) => {
  expect(roughly(ms)).toBe(text);
});
