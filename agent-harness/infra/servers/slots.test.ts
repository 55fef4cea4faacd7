import { expect, it } from "vitest";
import { Full, Slots } from "./slots.ts";

const patient = new AbortController().signal;

it("gives places in the order of the line, and none beyond it", async () => {
  const slots = new Slots(1, 2);
  const first = await slots.take(patient);
  const order: string[] = [];
  const enter = async (who: string): Promise<() => void> => {
    const giveBack = await slots.take(patient);
    order.push(who);
    return giveBack;
  };
  const second = enter("second");
  const third = enter("third");
  await expect(slots.take(patient)).rejects.toThrow(Full);
  expect([slots.running, slots.queued]).toEqual([1, 2]);
  first();
  first();
  (await second)();
  (await third)();
  expect(order).toEqual(["second", "third"]);
  expect([slots.running, slots.queued]).toEqual([0, 0]);
});

it("lets go of who does not wait any more", async () => {
  const slots = new Slots(1, 1);
  const first = await slots.take(patient);
  const gone = new AbortController();
  const waiting = slots.take(gone.signal);
  gone.abort(new Error("left"));
  await expect(waiting).rejects.toThrow("left");
  expect(slots.queued).toBe(0);
  first();
  (await slots.take(patient))();
  expect(slots.running).toBe(0);
});
