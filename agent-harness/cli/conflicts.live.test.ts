import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConflictsResult } from "../stacks/index.ts";
import { git, openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";

/* Stacks in real worktrees, as launch makes them. What git can meet is in stacks/conflicts.test.ts. */

let h: SmallHarness;
let repo: string;
const workdirs = new Map<number, string>();

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project();
  const worktree = `worktree: { root: ${join(h.home, "trees")} }`;
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at + 1}\n`).join("");
  await writeFile(join(repo, "agent-harness.yml"), smallConfig({ rest: worktree }));
  await writeFile(join(repo, "notes.txt"), lines);
  await git(repo, "add", "-A");
  await git(repo, "commit", "-qm", "notes");
  for (const id of [31, 32, 33]) {
    await h.ok(repo, "launch", String(id), "--worktree");
    workdirs.set(id, (await h.ledger(id)).workdir);
  }
});
afterAll(async () => {
  // Their work is not saved anywhere, and need not be.
  for (const id of workdirs.keys()) await h.ok(repo, "teardown", String(id), "--force");
  await h?.[Symbol.asyncDispose]();
});

const fileOf = (id: number, name: string): string => join(workdirs.get(id) ?? "", name);

/** Replaces one line of the notes of an agent. */
async function edit(id: number, line: number, text: string): Promise<void> {
  const lines = (await readFile(fileOf(id, "notes.txt"), "utf8")).split("\n");
  lines[line - 1] = text;
  await writeFile(fileOf(id, "notes.txt"), lines.join("\n"));
}

async function ask(...argv: string[]): Promise<{ exitCode: number; result: ConflictsResult }> {
  const { exitCode, stdout } = await h.harness(repo, "conflicts", "--json", ...argv);
  return { exitCode, result: JSON.parse(stdout) as ConflictsResult };
}

test("stacks that were just launched have no conflict: what the harness puts into a worktree is nobody's work", async () => {
  const { exitCode, result } = await ask();
  expect(exitCode).toBe(0);
  expect(result).toMatchObject({ base: { ref: "main" }, missing: [], conflicts: [] });
  expect(result.worktrees.map(({ agents, path, changed }) => [agents, path, changed])).toEqual(
    [31, 32, 33].map((id) => [[id], workdirs.get(id), 0]),
  );
});

test("who changed the same, where, and whether it can be merged; exit 1", async () => {
  await edit(31, 3, "committed by 31");
  await git(workdirs.get(31) ?? "", "commit", "-qam", "by 31");
  await edit(32, 3, "not committed by 32");
  await edit(33, 18, "elsewhere by 33");
  await writeFile(fileOf(32, "ne\nw.txt"), "by 32\n");
  await writeFile(fileOf(33, "ne\nw.txt"), "by 33\n");
  const { exitCode, result } = await ask();
  expect(exitCode).toBe(1);
  expect(result.conflicts).toMatchObject([
    { file: "ne\nw.txt", agents: [32, 33], collision: "both-added", collides: true },
    { file: "notes.txt", agents: [31, 32, 33], collision: "same-lines", collides: true },
  ]);
  expect(result.conflicts[1]?.pairs.map(({ between, collision }) => [between, collision])).toEqual([
    [[[31], [32]], "same-lines"],
    [[[31], [33]], "other-lines"],
    [[[32], [33]], "other-lines"],
  ]);
  const { stdout } = await h.harness(repo, "conflicts");
  expect(stdout).toContain('"ne\\nw.txt"  32, 33      both added\n');
  expect(stdout).toContain("notes.txt    31, 32, 33  same lines (31 and 32)\n");
  expect(stdout).toContain(`agent 33: 2 changed since main, agent-33, ${workdirs.get(33)}\n`);
});

test("asked from inside of a worktree it is the same; another base is another question", async () => {
  const inside = await h.harness(workdirs.get(32) ?? "", "conflicts", "--json", "--base", "agent-31");
  expect(JSON.parse(inside.stdout).conflicts).toMatchObject([{ agents: [32, 33] }, { agents: [32, 33] }]);
  expect((await h.refused(repo, "conflicts", "--base", "nowhere")).code).toBe("GIT_REF_NOT_FOUND");
});

test("a worktree whose folder was deleted is named, and the others are compared all the same", async () => {
  await rm(workdirs.get(33) ?? "", { recursive: true });
  const { exitCode, result } = await ask();
  expect(exitCode).toBe(1);
  expect(result.missing).toEqual([{ agent: 33, path: workdirs.get(33), reason: "deleted" }]);
  expect(result.conflicts.map(({ file, agents }) => [file, agents])).toEqual([["notes.txt", [31, 32]]]);
  expect((await h.harness(repo, "conflicts")).stdout).toContain(
    `agent 33: not looked at, ${workdirs.get(33)}: deleted`,
  );
});
