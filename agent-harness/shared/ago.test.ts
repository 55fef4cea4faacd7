import { expect, test } from "vitest";
import { ago } from "./ago.ts";

const now = Date.parse("2026-05-01T12:00:00Z");

test.each([
  [0, "just now"],
  [-5000, "just now"],
  [999, "just now"],
  [1000, "1 second ago"],
  [59_999, "59 seconds ago"],
  [60_000, "1 minute ago"],
  [3 * 3_600_000, "3 hours ago"],
  [6.9 * 86_400_000, "6 days ago"],
])("%d ms is %s", (ms, text) => {
  expect(ago(new Date(now - ms).toISOString(), now)).toBe(text);
});
