import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { startTimeOf } from "../shared/process-tree.ts";
import { hasUsers, lastUsed, noteRest, noteWork, requireUnused, touchStack, whileUsing } from "./use.ts";

let paths: HomePaths;
let folder: string;
beforeEach(async () => {
  paths = homePaths(await mkdtemp(join(tmpdir(), "ah-")));
  folder = join(paths.stacks, "51");
  await mkdir(folder, { recursive: true });
});
afterEach(async () => await rm(paths.home, { recursive: true, force: true }));

test("a stack was last used when it was touched last", async () => {
  expect(await lastUsed(paths, 51)).toBeUndefined();
  await touchStack(paths, 51);
  await utimes(join(folder, "used"), 1000, 1000);
  expect(await lastUsed(paths, 51)).toBe(1_000_000);
  await touchStack(paths, 51);
  expect(Date.now() - ((await lastUsed(paths, 51)) ?? 0)).toBeLessThan(60_000);
});

test("a stack is in use for as long as a command works with it, and was used when that ends", async () => {
  await whileUsing(paths, 51, async () => {
    expect(await hasUsers(paths, 51)).toBe(true);
    await utimes(join(folder, "used"), 1000, 1000);
  });
  expect(await hasUsers(paths, 51)).toBe(false);
  expect(await lastUsed(paths, 51)).toBeGreaterThan(1_000_000);
});

test("who was killed uses nothing, nor does a later process of the same pid", async () => {
  await mkdir(join(folder, "users"));
  await writeFile(join(folder, "users", String(process.pid)), "another time");
  await writeFile(join(folder, "users", "4194305"), "1");
  expect(await hasUsers(paths, 51)).toBe(false);
  expect(await readdir(join(folder, "users"))).toEqual([]);
});

test("who says that it works on a stack is named to those who would take it away, until it rests or is dead", async () => {
  const own = { pid: process.pid, started: (await startTimeOf(process.pid)) ?? "", who: "The session looker" };
  await noteWork(paths, 51, own);
  await noteWork(paths, 51, own);
  expect(await hasUsers(paths, 51)).toBe(true);
  await expect(requireUnused(paths, 51)).rejects.toMatchObject({
    code: "STACK_IN_USE",
    message: "The session looker works on the stack of agent 51.",
    hint: expect.stringContaining("agent-harness teardown 51 --force"),
    leftBehind: "everything: nothing was touched",
  });
  await noteRest(paths, 51, process.pid);
  await requireUnused(paths, 51);
  await noteWork(paths, 51, { ...own, started: "another time" });
  await requireUnused(paths, 51);
  // A command is a use, but no work that is lost.
  await whileUsing(paths, 51, async () => await requireUnused(paths, 51));
});

test("a stack that is gone gets no folder by being asked for", async () => {
  await rm(folder, { recursive: true });
  await whileUsing(paths, 51, async () => undefined);
  expect(await readdir(paths.stacks)).toEqual([]);
  // Torn down while a command worked with it.
  await mkdir(folder);
  await whileUsing(paths, 51, async () => await rm(folder, { recursive: true }));
  expect(await readdir(paths.stacks)).toEqual([]);
});
