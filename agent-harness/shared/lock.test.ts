import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deadHolder, lockHolder, withLock } from "./lock.ts";
import { startTimeOf } from "./process-tree.ts";

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "ah-lock-")), "lock");
});
afterEach(() => rm(join(folder, ".."), { recursive: true, force: true }));

/** Leaves the lock as a holder that was killed would have left it. */
async function leaveHeld(text: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "4"), text);
}

test("gives the work's result, and is free again after it, thrown or not", async () => {
  expect(await withLock(folder, { doing: "one" }, async () => await lockHolder(folder))).toMatchObject({
    pid: process.pid,
    doing: "one",
  });
  expect(await lockHolder(folder)).toBeUndefined();
  const failing = withLock(folder, { doing: "two" }, () => Promise.reject(new Error("work failed")));
  await expect(failing).rejects.toThrow("work failed");
  expect(await withLock(folder, { doing: "three", timeoutMs: 0 }, async () => 3)).toBe(3);
});

test("twenty contenders never overlap, each gets its turn, and one file is left", async () => {
  let inside = 0;
  const order: number[] = [];
  const contend = (number: number) =>
    withLock(folder, { doing: `contender ${number}` }, async () => {
      inside += 1;
      expect(inside).toBe(1);
      await turn();
      await readdir(folder);
      inside -= 1;
      order.push(number);
    });
  await Promise.all(Array.from({ length: 20 }, (_, at) => contend(at)));
  expect(order.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => at));
  expect(await readdir(folder)).toHaveLength(1);
});

test("after the limit LOCK_HELD names the holder's pid and what it does; onWait told so once", async () => {
  const waited: unknown[] = [];
  await withLock(folder, { doing: "launching agent 3" }, async () => {
    const second = withLock(
      folder,
      { doing: "x", timeoutMs: 70, onWait: ({ pid, doing }) => waited.push([pid, doing]) },
      async () => expect.unreachable("two hold it"),
    );
    await expect(second).rejects.toMatchObject({
      code: "LOCK_HELD",
      message: `Process ${process.pid} is busy with "launching agent 3".`,
      hint: expect.stringContaining(`ps -p ${process.pid}`),
      context: { pid: process.pid, doing: "launching agent 3" },
    });
  });
  expect(waited).toEqual([[process.pid, "launching agent 3"]]);
});

test.each<[string, () => Promise<string>]>([
  ["whose process is gone", async () => JSON.stringify({ pid: 4_190_000, started: "1", doing: "x" })],
  ["whose pid is another process by now", async () => JSON.stringify({ pid: process.pid, started: "1", doing: "x" })],
  ["whose file a power cut emptied", async () => ""],
  ["whose file a power cut cut short", async () => '{"pid":'],
])("a holder %s is taken over at once", async (_, text) => {
  await leaveHeld(await text());
  expect(await lockHolder(folder)).toBeUndefined();
  const start = performance.now();
  await withLock(folder, { doing: "next", timeoutMs: 0 }, async () => expect(await readdir(folder)).toEqual(["5"]));
  expect(performance.now() - start).toBeLessThan(500);
  expect(await readFile(join(folder, "5"), "utf8")).toBe("free");
});

test("a holder that was killed is told of until the next one has had the lock", async () => {
  expect(await deadHolder(folder)).toBeUndefined();
  await leaveHeld(JSON.stringify({ pid: 4_190_000, started: "1", doing: "launching agent 3" }));
  expect(await deadHolder(folder)).toMatchObject({ pid: 4_190_000, doing: "launching agent 3" });
  await withLock(folder, { doing: "next" }, async () => expect(await deadHolder(folder)).toBeUndefined());
  expect(await deadHolder(folder)).toBeUndefined();
});

test("a living holder is not taken over, even when its file is old", async () => {
  await leaveHeld(JSON.stringify({ pid: process.ppid, started: await startTimeOf(process.ppid), doing: "resting" }));
  await expect(withLock(folder, { doing: "x", timeoutMs: 0 }, async () => 1)).rejects.toThrow(
    `Process ${process.ppid} is busy with "resting".`,
  );
});
