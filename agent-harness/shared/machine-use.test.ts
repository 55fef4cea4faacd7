import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { openMachine } from "./machine-use.ts";

test("the machine: cores, memory, disk, and after a while its CPU", async () => {
  const look = openMachine(tmpdir());
  const first = await look();
  expect(first.cpu).toBeUndefined();
  expect(first.cores).toBeGreaterThan(0);
  for (const part of [first.memory, first.disk]) {
    expect(part?.availableBytes).toBeGreaterThan(0);
    expect(part?.availableBytes).toBeLessThanOrEqual(part?.totalBytes ?? 0);
  }
  const cpu = await until("some CPU", async () => (await look()).cpu || undefined);
  expect(cpu).toBeGreaterThan(0);
  expect(cpu).toBeLessThanOrEqual(100);
});

test("a folder that is not there has no disk", async () => {
  expect(await openMachine("/no/such/folder")()).not.toHaveProperty("disk");
});
