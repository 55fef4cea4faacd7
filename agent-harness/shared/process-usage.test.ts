import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { readPs, sampleUsage, treePids, treeUsage, type UsageSample } from "./process-usage.ts";

const one = (pid: number, parent: number, cpuMs: number, started = "a") => ({
  pid,
  parent,
  started,
  cpuMs,
  memoryBytes: pid * 1000,
});
function sample(atMs: number, ...all: ReturnType<typeof one>[]): UsageSample {
  const children = all.map(({ parent }): [number, number[]] => [
    parent,
    all.filter((other) => other.parent === parent).map((other) => other.pid),
  ]);
  return { atMs, byPid: new Map(all.map((process) => [process.pid, process])), childrenOf: new Map(children) };
}

test("a tree is a process and all below it; one that is not there has none", () => {
  const now = sample(0, one(1, 0, 0), one(2, 1, 0), one(3, 2, 0), one(4, 3, 0), one(5, 1, 0));
  expect(treePids([2], now)).toEqual([2, 3, 4]);
  expect(treePids([2, 3, 9], now)).toEqual([2, 3, 4]);
  expect(treePids([9], now)).toEqual([]);
});

test("the CPU of a tree is what its processes used since, also those that began meanwhile or took over a pid", () => {
  const before = sample(1000, one(1, 0, 500), one(2, 1, 100), one(3, 1, 9000, "old"));
  const now = sample(2000, one(1, 0, 600), one(2, 1, 350), one(3, 1, 40, "new"), one(4, 2, 60));
  expect(treeUsage([1], now, before)).toEqual({ count: 4, cpu: 45, memoryBytes: 10_000 });
  expect(treeUsage([2], now, before)).toEqual({ count: 2, cpu: 31, memoryBytes: 6000 });
  expect(treeUsage([2], now)).toEqual({ count: 2, memoryBytes: 6000 });
  expect(treeUsage([], now, before)).toEqual({ count: 0, cpu: 0, memoryBytes: 0 });
});

test("what ps prints where there is no /proc", () => {
  const text = [
    "    1     0  9000   1:02.50 Mon Nov  3 10:11:12 2025",
    "  417     1  2048 02:00:01 Tue Nov  4 00:00:00 2025",
    "  418   417  1024 1-00:00:10 Tue Nov  4 00:00:00 2025",
    "",
  ].join("\n");
  expect(readPs(text)).toEqual([
    { pid: 1, parent: 0, started: "Mon Nov  3 10:11:12 2025", cpuMs: 62_500, memoryBytes: 9_216_000 },
    { pid: 417, parent: 1, started: "Tue Nov  4 00:00:00 2025", cpuMs: 7_201_000, memoryBytes: 2_097_152 },
    { pid: 418, parent: 417, started: "Tue Nov  4 00:00:00 2025", cpuMs: 86_410_000, memoryBytes: 1_048_576 },
  ]);
});

test("a real process and its child: their memory, and the CPU of the one that works", async () => {
  const busy = "const { spawn } = require('child_process'); spawn('sleep', ['60']); console.log('up'); for (;;);";
  const child = spawn(process.execPath, ["-e", busy], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  try {
    await once(child.stdout, "data");
    const pid = child.pid ?? 0;
    const before = await until("both", async () => {
      const found = await sampleUsage();
      return treePids([pid], found).length === 2 ? found : undefined;
    });
    // Long enough for the hundredths of a second in which the kernel counts.
    const used = await until("some CPU", async () => {
      const now = await sampleUsage();
      const usage = treeUsage([pid], now, before);
      return now.atMs - before.atMs > 300 && (usage.cpu ?? 0) > 5 ? usage : undefined;
    });
    expect(used.count).toBe(2);
    expect(used.cpu).toBeLessThan(150);
    // A Node process takes some tens of megabytes.
    expect(used.memoryBytes).toBeGreaterThan(20e6);
    expect(used.memoryBytes).toBeLessThan(500e6);
  } finally {
    process.kill(-(child.pid ?? 0), "SIGKILL");
    await once(child, "close");
  }
});
