import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { packageRoot } from "./paths.ts";
import { permitHolders, withPermit } from "./semaphore.ts";

let folder: string;
let children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-semaphore-"));
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  await rm(folder, { recursive: true, force: true });
});

/** Runs a program that knows withPermit, from the built files. */
function contender(code: string): ChildProcess {
  const built = JSON.stringify(join(packageRoot(), "dist/shared/semaphore.js"));
  const text = `import { readdirSync, writeFileSync, unlinkSync } from "node:fs";
    import { withPermit } from ${built};
    const permits = ${JSON.stringify(join(folder, "permits"))}, folder = ${JSON.stringify(folder)};
    ${code}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", text], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

const forever = (doing: string): string =>
  `await withPermit(permits, { permits: 1, doing: ${JSON.stringify(doing)} }, () => { setInterval(() => {}, 1000); return new Promise(() => {}); });`;
const holders = () => permitHolders(join(folder, "permits"));

test("of twelve processes never more than three work at the same time, and all get their turn", async () => {
  const code = `for (let turn = 0; turn < 4; turn += 1) await withPermit(permits, { permits: 3, doing: "counting" }, async () => {
    const mine = folder + "/inside-" + process.pid;
    writeFileSync(mine, "");
    const inside = readdirSync(folder).filter((name) => name.startsWith("inside-")).length;
    if (inside > 3) process.exitCode = inside;
    await new Promise((resolve) => setTimeout(resolve, 5));
    unlinkSync(mine);
  });`;
  const ends = Array.from({ length: 12 }, () => once(contender(code), "exit"));
  expect((await Promise.all(ends)).map(([exitCode]) => exitCode)).toEqual(Array(12).fill(0));
  expect(await holders()).toEqual([]);
  expect((await readdir(join(folder, "permits"))).sort()).toEqual(["last", "lock"]);
});

test("a permit whose holder was killed with SIGKILL goes to the next in line", async () => {
  const first = contender(forever("first"));
  await until("the first holds it", async () => (await holders()).length === 1);
  const second = contender(forever("second"));
  await until("the second waits", async () => (await holders()).length === 2);
  const told: string[] = [];
  const third = withPermit(
    join(folder, "permits"),
    { permits: 1, doing: "third", onWait: (before) => told.push(...before.map((one) => one.doing)) },
    async () => "done",
  );
  await until("the third waits", async () => (await holders()).length === 3);
  expect(told).toEqual(["first", "second"]);
  first.kill("SIGKILL");
  await until("the first is gone", async () => (await holders())[0]?.doing === "second");
  second.kill("SIGKILL");
  expect(await third).toBe("done");
});

test("one who was stopped while waiting goes on at once, and leaves the line", async () => {
  contender(forever("first"));
  await until("the first holds it", async () => (await holders()).length === 1);
  const abort = new AbortController();
  const waiting = withPermit(
    join(folder, "permits"),
    { permits: 1, doing: "mine", signal: abort.signal, onWait: () => abort.abort() },
    async () => "stopped",
  );
  expect(await waiting).toBe("stopped");
  expect((await holders()).map((one) => one.doing)).toEqual(["first"]);
});

test("a ticket that a power cut left half written is nobody's", async () => {
  await withPermit(join(folder, "permits"), { permits: 1, doing: "x" }, async () => undefined);
  await writeFile(join(folder, "permits", "1.ticket"), '{"number": 1, "pi');
  expect(await withPermit(join(folder, "permits"), { permits: 1, doing: "y" }, async () => "in")).toBe("in");
  expect(await readFile(join(folder, "permits", "last"), "utf8")).toBe("2");
});
