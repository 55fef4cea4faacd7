import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { lockHolder, withLock } from "./lock.ts";
import { packageRoot } from "./paths.ts";

let folder: string;
let children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-lock-"));
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  await rm(folder, { recursive: true, force: true });
});

/** Runs a program of ours that knows withLock, from the built files. */
function contender(code: string): ChildProcess {
  const built = JSON.stringify(join(packageRoot(), "dist/shared/lock.js"));
  const text = `import { readFileSync, writeFileSync, unlinkSync } from "node:fs";
    import { withLock } from ${built};
    const lock = ${JSON.stringify(join(folder, "lock"))}, folder = ${JSON.stringify(folder)};
    ${code}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", text], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

const hold = `await withLock(lock, { doing: "holding on" }, () => { setInterval(() => {}, 1000); return new Promise(() => {}); });`;

test("twenty processes count to a hundred together, and never two at once", async () => {
  await writeFile(join(folder, "count"), "0");
  // "wx" fails when another one is inside at that moment.
  const code = `for (let turn = 0; turn < 5; turn += 1) await withLock(lock, { doing: "counting" }, async () => {
    writeFileSync(folder + "/inside", "", { flag: "wx" });
    const count = Number(readFileSync(folder + "/count", "utf8"));
    await new Promise((resolve) => setTimeout(resolve, 1));
    writeFileSync(folder + "/count", String(count + 1));
    unlinkSync(folder + "/inside");
  });`;
  const ends = Array.from({ length: 20 }, () => once(contender(code), "exit"));
  expect((await Promise.all(ends)).map(([exitCode]) => exitCode)).toEqual(Array(20).fill(0));
  expect(await readFile(join(folder, "count"), "utf8")).toBe("100");
});

test("one process waits for another, and is told who holds the lock", async () => {
  const holder = contender(hold);
  const held = await until("the child holds the lock", () => lockHolder(join(folder, "lock")));
  expect(held).toMatchObject({ pid: holder.pid, doing: "holding on" });
  await expect(
    withLock(join(folder, "lock"), { doing: "x", timeoutMs: 60 }, async () => undefined),
  ).rejects.toMatchObject({ code: "LOCK_HELD", message: `Process ${holder.pid} is busy with "holding on".` });
});

test("what a holder killed with SIGKILL held is taken over at once", async () => {
  const holder = contender(hold);
  await until("the child holds the lock", () => lockHolder(join(folder, "lock")));
  let waiting = false;
  const next = withLock(join(folder, "lock"), { doing: "next", onWait: () => (waiting = true) }, async () => "mine");
  await until("we wait", () => waiting);
  const killed = performance.now();
  holder.kill("SIGKILL");
  expect(await next).toBe("mine");
  expect(performance.now() - killed).toBeLessThan(1000);
});
