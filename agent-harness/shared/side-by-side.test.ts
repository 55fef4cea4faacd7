import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { sideBySide } from "./side-by-side.ts";

test("no more than so many at once; the results are in order", async () => {
  const open: (() => void)[] = [];
  const work = async (item: number): Promise<number> => {
    await new Promise<void>((resolve) => open.push(resolve));
    return item * 10;
  };
  const results = sideBySide([1, 2, 3], 2, work);
  await until("two run", () => open.length === 2);
  open[1]?.();
  await until("the third runs", () => open.length === 3);
  for (const end of open) end();
  expect(await results).toEqual([10, 20, 30]);
  expect(await sideBySide([], 2, work)).toEqual([]);
});

test("one that fails fails all", async () => {
  await expect(sideBySide([1, 2], 1, async (item) => Promise.reject(new Error(`${item}`)))).rejects.toThrow("1");
});
