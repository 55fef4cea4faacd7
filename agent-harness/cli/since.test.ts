import { expect, test } from "vitest";
import { parseSince } from "./since.ts";

const now = new Date(2026, 0, 31, 14, 30, 15);
const ago = (ms: number): number => now.getTime() - ms;

test.each([
  ["90s", ago(90_000)],
  ["10m", ago(600_000)],
  ["2h", ago(7_200_000)],
  ["1h30m", ago(5_400_000)],
  ["3d", ago(3 * 86_400_000)],
  [" 0s ", ago(0)],
  ["14:05", new Date(2026, 0, 31, 14, 5).getTime()],
  ["9:05:07", new Date(2026, 0, 31, 9, 5, 7).getTime()],
  ["2026-01-30", new Date(2026, 0, 30).getTime()],
  ["2026-01-30 08:15", new Date(2026, 0, 30, 8, 15).getTime()],
  ["2026-01-30T08:15:30", new Date(2026, 0, 30, 8, 15, 30).getTime()],
  ["2026-01-30T08:15:30.250Z", Date.UTC(2026, 0, 30, 8, 15, 30, 250)],
  ["2026-01-30T08:15:00+02:00", Date.UTC(2026, 0, 30, 6, 15)],
])("%j", (text, time) => {
  expect(parseSince(text, now)).toBe(time);
});

test("what is not given is nothing", () => {
  expect(parseSince(undefined)).toBeUndefined();
});

test.each(["", "10", "10x", "m", "-5m", "yesterday", "24:00", "12:60", "2026-13-01", "2026-01-30T", "1.5h", true])(
  "%j is refused",
  (text) => {
    expect(() => parseSince(text, now)).toThrow("--since wants a length of time or a time");
  },
);
