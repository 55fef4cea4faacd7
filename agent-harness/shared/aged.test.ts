import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { aged, turnstile } from "./aged.ts";

/** Questions that are answered when the test says so. */
function questions() {
  const open: { answer: (value: number) => void; fail: (error: Error) => void }[] = [];
  const ask = () => new Promise<number>((answer, fail) => open.push({ answer, fail }));
  return { open, ask };
}

test("asking never waits: what is known is the last answer", async () => {
  const { open, ask } = questions();
  const fact = aged(60_000, ask);
  expect(fact.get()).toBeUndefined();
  expect(fact.get()).toBeUndefined();
  expect(open).toHaveLength(1);
  open[0]?.answer(1);
  await fact.settled();
  expect(fact.get()).toBe(1);
  expect(open).toHaveLength(1);
});

test("what is too old, or was declared so, is asked for again, and known meanwhile", async () => {
  const { open, ask } = questions();
  const fact = aged(60_000, ask);
  fact.get();
  open[0]?.answer(1);
  await fact.settled();
  fact.expire();
  expect(fact.get()).toBe(1);
  expect(open).toHaveLength(2);
  // One question at a time.
  fact.expire();
  fact.get();
  expect(open).toHaveLength(2);
  open[1]?.answer(2);
  await fact.settled();
  expect(fact.get()).toBe(2);
  expect(open).toHaveLength(3);
  const old = aged(1, async () => performance.now());
  old.get();
  await old.settled();
  const first = old.get();
  await until("another answer", () => old.get() !== first);
});

test("a question that fails leaves nothing known", async () => {
  const { open, ask } = questions();
  const fact = aged(0, ask);
  fact.get();
  open[0]?.answer(1);
  await fact.settled();
  expect(fact.get()).toBe(1);
  open[1]?.fail(new Error("no answer"));
  await fact.settled();
  expect(fact.get()).toBeUndefined();
  open[2]?.answer(3);
  await fact.settled();
  expect(fact.get()).toBe(3);
});

test("a turnstile lets no more than so many in, in their order, whatever becomes of them", async () => {
  const { open, ask } = questions();
  const through = turnstile(2);
  const results = [1, 2, 3, 4].map((at) =>
    through(async () => [at, await ask()]).catch((error: Error) => error.message),
  );
  await until("two are in", () => open.length === 2);
  open[0]?.fail(new Error("failed"));
  await until("a third", () => open.length === 3);
  open[1]?.answer(20);
  open[2]?.answer(30);
  await until("the last", () => open.length === 4);
  open[3]?.answer(40);
  expect(await Promise.all(results)).toEqual(["failed", [2, 20], [3, 30], [4, 40]]);
});
