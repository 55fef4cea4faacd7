import { expect, test } from "vitest";
import { HarnessError } from "../shared/errors.ts";
import { pruneEachHour, retentionOf } from "./retention.ts";

test("events are kept for 30 days, a million at most, or as the environment says", () => {
  expect(retentionOf({})).toEqual({ keepDays: 30, keepEvents: 1_000_000 });
  expect(retentionOf({ HARNESS_KEEP_EVENT_DAYS: "", HARNESS_KEEP_EVENTS: "5" })).toEqual({
    keepDays: 30,
    keepEvents: 5,
  });
  expect(retentionOf({ HARNESS_KEEP_EVENT_DAYS: "1" })).toEqual({ keepDays: 1, keepEvents: 1_000_000 });
});

test.each(["HARNESS_KEEP_EVENT_DAYS", "HARNESS_KEEP_EVENTS"])("%s is refused where it would forget all", (name) => {
  expect(() => retentionOf({ [name]: "0" })).toThrow(`${name} wants 1 or more, not 0`);
  expect(() => retentionOf({ [name]: "-1" })).toThrow(`${name} wants a whole number`);
});

test("they are forgotten at once and then each hour; a store that is away is no news", async () => {
  const retention = { keepDays: 1, keepEvents: 2 };
  const errors = [new HarnessError("STORE_UNAVAILABLE", "away"), new HarnessError("INTERNAL", "broken")];
  const asked: unknown[] = [];
  const reported: unknown[] = [];
  const prune = async (which: unknown): Promise<never> => {
    asked.push(which);
    throw errors[asked.length - 1];
  };
  for (const _ of errors) pruneEachHour({ prune }, retention, (error) => reported.push(error))[Symbol.dispose]();
  await new Promise(setImmediate);
  expect(asked).toEqual([retention, retention]);
  expect(reported).toEqual(errors.slice(1));
});
