import { expect, test } from "vitest";
import { emptyLedger } from "./empty-ledger.ts";
import type { Ledger } from "./ledger.ts";
import { idleText, isOver, isWatched, lifetimeOf, mayIdle } from "./lifetime.ts";

const hour = 3_600_000;
const now = Date.parse("2026-01-31T12:00:00.000Z");
const at = (hours: number): string => new Date(now + hours * hour).toISOString();
const ledger = (facts: Partial<Ledger>): Ledger => ({
  ...emptyLedger({ id: 51, project: "small", repository: "/r", workdir: "/r", configPath: "/r/agent-harness.yml" }),
  status: "ready",
  ...facts,
});

test("a new stack has the limits of its launch, else the config's, else none", () => {
  expect(lifetimeOf(undefined, undefined, {}, now)).toEqual({});
  expect(lifetimeOf(undefined, {}, { ttl: "4h", idle: "30m" }, now)).toEqual({
    ttlMs: 4 * hour,
    expiresAt: at(4),
    idleMs: hour / 2,
  });
  expect(lifetimeOf(undefined, { ttl: hour, idle: "none" }, { ttl: "4h", idle: "30m" }, now)).toEqual({
    ttlMs: hour,
    expiresAt: at(1),
  });
});

test("a launch of a stack that is there keeps its limits, unless it says others", () => {
  const known = { ttlMs: 4 * hour, expiresAt: at(2), idleMs: hour };
  expect(lifetimeOf(known, {}, { ttl: "9h" }, now)).toEqual(known);
  expect(lifetimeOf({}, {}, { ttl: "9h", idle: "9h" }, now)).toEqual({});
  expect(lifetimeOf(known, { ttl: hour }, {}, now)).toEqual({ ttlMs: hour, expiresAt: at(1), idleMs: hour });
  expect(lifetimeOf(known, { ttl: "none", idle: "none" }, {}, now)).toEqual({});
});

test("a launch of a stack whose time was over gives it the same time again", () => {
  expect(lifetimeOf({ ttlMs: 4 * hour, expiresAt: at(-1) }, {}, {}, now)).toEqual({
    ttlMs: 4 * hour,
    expiresAt: at(4),
  });
});

test("a time is over from its instant on", () => {
  expect(isOver(ledger({}), now)).toBe(false);
  expect(isOver(ledger({ expiresAt: at(1) }), now)).toBe(false);
  expect(isOver(ledger({ expiresAt: at(0) }), now)).toBe(true);
});

test.each<[string, Partial<Ledger>, { watched: boolean; idles: boolean }]>([
  ["without limits", {}, { watched: false, idles: false }],
  ["with an idle limit", { idleMs: 1 }, { watched: true, idles: true }],
  ["being launched with an idle limit", { idleMs: 1, status: "launching" }, { watched: true, idles: false }],
  ["stopped already", { idleMs: 1, status: "stopped" }, { watched: false, idles: false }],
  ["failed, left for inspection", { idleMs: 1, status: "failed" }, { watched: false, idles: false }],
  ["stopped, with an end", { expiresAt: at(1), status: "stopped" }, { watched: true, idles: false }],
  ["failed, with an end", { expiresAt: at(1), status: "failed" }, { watched: true, idles: false }],
])("a stack %s", (_, facts, { watched, idles }) => {
  expect(isWatched(ledger(facts))).toBe(watched);
  expect(mayIdle(ledger(facts))).toBe(idles);
});

test("a stack is idle when nobody has used it for as long as it may be unused", () => {
  expect(idleText(ledger({ idleMs: hour }), now - hour + 1, now)).toBeUndefined();
  expect(idleText(ledger({ idleMs: hour }), now - hour, now)).toBe("idle for 60 min");
  expect(idleText(ledger({}), 0, now)).toBeUndefined();
});
