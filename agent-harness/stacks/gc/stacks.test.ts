import { mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withLock } from "../../shared/lock.ts";
import { type HomePaths, homePaths } from "../../shared/paths.ts";
import { claimId, releaseId, stackLock } from "../registry.ts";
import { collectStack } from "./stacks.ts";

let paths: HomePaths;
let removed: string[];

beforeEach(async () => {
  paths = homePaths(await realpath(await mkdtemp(join(tmpdir(), "ah-gc-"))));
  removed = [];
});
afterEach(async () => await rm(paths.home, { recursive: true }));

const claim = { id: 7, project: "p", repository: "/r", workdir: "/r", configPath: "/r/agent-harness.yml" };

const thing = (name: string, whyKept?: string) => ({
  kind: "database",
  name,
  id: 7,
  whyKept: async () => whyKept,
  remove: async () => {
    if (name === "broken") throw new Error("it will not go");
    removed.push(name);
  },
});

const collect = async (dryRun: boolean, ...things: ReturnType<typeof thing>[]): Promise<string[]> =>
  await collectAgain(dryRun, things, things);

/** With another answer when it is looked again under the lock. */
async function collectAgain(
  dryRun: boolean,
  things: ReturnType<typeof thing>[],
  again: ReturnType<typeof thing>[],
): Promise<string[]> {
  const found = things.map((one) => ({ ...one, list: async () => again }));
  const items = await collectStack(7, found, { paths, dryRun });
  return items.map(({ name, action, reason }) => `${action} ${name}: ${reason}`);
}

test("things without an owner go; one that stays or fails is no reason to leave the others", async () => {
  expect(await collect(false, thing("a"), thing("work", "it has work"), thing("broken"), thing("b"))).toEqual([
    "removed a: agent 7 has neither a claim nor a ledger",
    "kept work: it has work",
    "skipped broken: it will not go",
    "removed b: agent 7 has neither a claim nor a ledger",
  ]);
  expect(removed).toEqual(["a", "b"]);
});

test("an id that was claimed after its things were found owns them", async () => {
  await claimId(paths, claim);
  expect(await collect(false, thing("a"))).toEqual(["skipped a: agent 7 was launched meanwhile"]);
  await releaseId(paths, 7);
  expect(removed).toEqual([]);
  expect(await collect(false, thing("a"))).toHaveLength(1);
  expect(removed).toEqual(["a"]);
});

test("what is gone when the lock is had is not said to be removed", async () => {
  const items = await collectAgain(false, [thing("a"), thing("b")], [thing("b"), { ...thing("a"), id: 8 }]);
  expect(items).toEqual(["removed b: agent 7 has neither a claim nor a ledger"]);
  expect(removed).toEqual(["b"]);
});

test.each([true, false])("somebody at work on the stack is left alone and named (dry run: %s)", async (dryRun) => {
  await withLock(stackLock(paths, 7), { doing: "launching" }, async () => {
    expect(await collect(dryRun, thing("a"))).toEqual([`skipped a: Process ${process.pid} is busy with "launching".`]);
  });
  expect(removed).toEqual([]);
});

test("a dry run writes nothing, not even a lock", async () => {
  expect(await collect(true, thing("a"), thing("work", "it has work"))).toEqual([
    "would remove a: agent 7 has neither a claim nor a ledger",
    "kept work: it has work",
  ]);
  expect(removed).toEqual([]);
  expect(await readdir(paths.home)).toEqual([]);
});
