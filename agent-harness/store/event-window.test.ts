import { expect, test } from "vitest";
import { openWindow } from "./event-window.ts";
import type { SizedEvent } from "./read-events.ts";

const events = (from: number, to: number, sizeBytes = 1): SizedEvent[] =>
  Array.from({ length: to - from + 1 }, (_, at) => ({
    event: { id: from + at, at: new Date(0), type: "x", project: "p", data: {} },
    sizeBytes,
  }));
const ids = (found: readonly { id: number }[] | undefined): number[] | undefined => found?.map(({ id }) => id);

test("gives what comes after a position, so many at a time", () => {
  const window = openWindow();
  window.reset(10);
  expect(window.after(10, 5)).toEqual([]);
  expect(window.after(9, 5)).toBeUndefined();
  window.push(events(11, 20));
  expect(window.head).toBe(20);
  expect(ids(window.after(10, 3))).toEqual([11, 12, 13]);
  expect(ids(window.after(18, 3))).toEqual([19, 20]);
  expect(window.after(20, 3)).toEqual([]);
  // A position that was read from the table before the window got there.
  expect(window.after(25, 3)).toEqual([]);
  expect(window.after(9, 3)).toBeUndefined();
});

test.each([
  ["too many", { events: 10, sizeBytes: 1000 }, 1],
  ["too large together", { events: 1000, sizeBytes: 100 }, 10],
])("when they are %s, the oldest go", (_, limits, sizeBytes) => {
  const window = openWindow(limits);
  window.push(events(1, 10, sizeBytes));
  expect(ids(window.after(0, 20))).toHaveLength(10);
  window.push(events(11, 11, sizeBytes));
  expect(window.after(5, 20)).toBeUndefined();
  expect(ids(window.after(6, 20))).toEqual([7, 8, 9, 10, 11]);
  for (let id = 12; id <= 500; id += 1) window.push(events(id, id, sizeBytes));
  const held = Array.from({ length: 500 }, (_, at) => at).filter((cursor) => window.after(cursor, 1) !== undefined);
  expect(held.length).toBeLessThanOrEqual(10);
  expect(ids(window.after(497, 20))).toEqual([498, 499, 500]);
});

test("one event that is larger than the whole room is still told", () => {
  const window = openWindow({ events: 10, sizeBytes: 100 });
  window.push(events(1, 1, 1000));
  expect(window.head).toBe(1);
  // It is in the table.
  expect(window.after(0, 5)).toBeUndefined();
  window.push(events(2, 2));
  expect(ids(window.after(1, 5))).toEqual([2]);
});

test("what was deleted before it could be read leaves no false neighbours", () => {
  const window = openWindow();
  window.push(events(1, 3));
  window.push(events(8, 9));
  expect(window.after(2, 5)).toBeUndefined();
  expect(ids(window.after(7, 5))).toEqual([8, 9]);
  window.reset(4);
  expect(window.head).toBe(4);
  expect(window.after(4, 5)).toEqual([]);
});
