import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { findExecutable } from "../shared/words.ts";
import { git } from "../testing/small.ts";
import { findConflicts } from "./conflicts.ts";
import { findRepository } from "./project.ts";
import { claimId } from "./registry.ts";

/* Real git and real worktrees; the claims of the stacks are written without launching any. */

let root: string;
let paths: HomePaths;
let repo: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "ah-conflicts-")));
  paths = homePaths(join(root, "home"));
  repo = join(root, "repo");
  await mkdir(repo);
  await git(repo, "init", "-q");
  const lines = (name: string): string => Array.from({ length: 20 }, (_, at) => `${name} ${at + 1}\n`).join("");
  await write(repo, { "a.txt": lines("a"), "b.txt": lines("b"), "c.txt": lines("c"), "x.bin": "\0one" });
  await git(repo, "add", "-A");
  await git(repo, "commit", "-qm", "start");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

async function write(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

/** Replaces one line of a file. */
async function edit(folder: string, file: string, line: number, text: string): Promise<void> {
  const lines = (await readFile(join(folder, file), "utf8")).split("\n");
  lines[line - 1] = text;
  await writeFile(join(folder, file), lines.join("\n"));
}

async function claim(id: number, workdir: string): Promise<string> {
  const repository = (await findRepository(workdir)) ?? workdir;
  await claimId(paths, { id, repository, project: "p", workdir, configPath: join(workdir, "agent-harness.yml") });
  return workdir;
}

/** A worktree with an agent's claim on it. */
async function worktree(id: number, ...start: string[]): Promise<string> {
  const folder = join(root, `agent-${id}`);
  await git(repo, "worktree", "add", "-q", folder, "-b", `agent/${id}`, ...start);
  return await claim(id, folder);
}

const commit = async (folder: string): Promise<void> => {
  await git(folder, "add", "-A");
  await git(folder, "commit", "-qm", "work");
};
const look = (base?: string) => findConflicts({ paths, cwd: repo, base });
const brief = async (base?: string) =>
  (await look(base)).conflicts.map(({ file, agents, collision }) => [file, agents, collision]);

test("committed, uncommitted and new work counts alike; the verdict is that of a merge", async () => {
  const [one, two, three] = [await worktree(1), await worktree(2), await worktree(3)];
  await edit(one, "a.txt", 3, "by one, committed");
  await commit(one);
  await edit(two, "a.txt", 3, "by two, not committed");
  await edit(one, "b.txt", 1, "by one, staged");
  await git(one, "add", "b.txt");
  await edit(three, "b.txt", 20, "by three, elsewhere");
  await write(one, { "new/file.txt": "one\n" });
  await write(three, { "new/file.txt": "three\n", "only.txt": "three\n" });
  const { conflicts, worktrees, base, missing } = await look();
  expect(conflicts.map(({ file, agents, collision, collides }) => [file, agents, collision, collides])).toEqual([
    ["a.txt", [1, 2], "same-lines", true],
    ["b.txt", [1, 3], "other-lines", false],
    ["new/file.txt", [1, 3], "both-added", true],
  ]);
  expect(conflicts[0]?.pairs).toEqual([
    { between: [[1], [2]], collision: "same-lines", message: "CONFLICT (content): Merge conflict in a.txt" },
  ]);
  expect(base).toEqual({ ref: "main", commit: (await git(repo, "rev-parse", "main")).trim() });
  expect(worktrees.map(({ agents, branch, changed }) => [agents, branch, changed])).toEqual([
    [[1], "agent/1", 3],
    [[2], "agent/2", 1],
    [[3], "agent/3", 3],
  ]);
  expect(missing).toEqual([]);
});

test("nothing of the repository is written to: no object, no index, no reference", async () => {
  const [one, two] = [await worktree(1), await worktree(2)];
  await edit(one, "a.txt", 3, "one");
  await edit(two, "a.txt", 3, "two");
  await git(two, "add", "a.txt");
  const state = async () => ({
    objects: (await readdir(join(repo, ".git/objects"), { recursive: true })).sort(),
    index: await readFile(join(repo, ".git/worktrees/agent-2/index"), "hex"),
    refs: await git(repo, "for-each-ref"),
    status: await git(two, "status", "--porcelain"),
  });
  const before = await state();
  const scratch = join(root, "scratch");
  await mkdir(scratch);
  vi.stubEnv("TMPDIR", scratch);
  expect(await brief()).toEqual([["a.txt", [1, 2], "same-lines"]]);
  expect(await state()).toEqual(before);
  expect(await readdir(scratch)).toEqual([]);
});

test("deleted, renamed and binary files", async () => {
  const [one, two] = [await worktree(1), await worktree(2)];
  await rm(join(one, "a.txt"));
  await edit(two, "a.txt", 3, "two");
  await rename(join(one, "b.txt"), join(one, "moved.txt"));
  await commit(one);
  await edit(two, "b.txt", 9, "two");
  await write(one, { "x.bin": "\0by one" });
  await write(two, { "x.bin": "\0by two" });
  await rm(join(one, "c.txt"));
  await rm(join(two, "c.txt"));
  expect(await brief()).toEqual([
    ["a.txt", [1, 2], "deleted-and-changed"],
    // Git follows the rename, so the two go together; who reads the list may want to know all the same.
    ["b.txt", [1, 2], "other-lines"],
    ["x.bin", [1, 2], "binary"],
  ]);
});

test("a git older than 2.38, which cannot merge aside, tells by the lines", async () => {
  const path = process.env["PATH"] ?? "";
  const real = await findExecutable("git", { cwd: root, path: path.split(":") });
  const old = `case "$*" in *"merge-tree --write-tree"*) exit 129 ;; esac\nexec ${real} "$@"\n`;
  await write(root, { "bin/git": `#!/bin/sh\n${old}` });
  await chmod(join(root, "bin/git"), 0o755);
  vi.stubEnv("PATH", `${join(root, "bin")}:${path}`);
  const [one, two] = [await worktree(1), await worktree(2)];
  for (const [folder, by] of [
    [one, "one"],
    [two, "two"],
  ] as const) {
    await edit(folder, "a.txt", 3, by);
    await edit(folder, "b.txt", by === "one" ? 3 : 12, by);
    await write(folder, { "new file": by, "x.bin": `\0by ${by}` });
  }
  await rm(join(two, "c.txt"));
  await edit(one, "c.txt", 3, "one");
  expect(await brief()).toEqual([
    ["a.txt", [1, 2], "same-lines"],
    ["b.txt", [1, 2], "other-lines"],
    ["c.txt", [1, 2], "deleted-and-changed"],
    ["new file", [1, 2], "both-added"],
    ["x.bin", [1, 2], "binary"],
  ]);
});

test("a file in the place of another's folder", async () => {
  const [one, two] = [await worktree(1), await worktree(2)];
  await write(one, { thing: "a file\n" });
  await write(two, { "thing/inside": "a folder\n" });
  expect(await brief()).toEqual([["thing", [1, 2], "other"]]);
});

test.each([
  'quo"te',
  "new\nline",
  "tab\there",
  "ümläut 日本",
  "*?[glob]",
  ":(top)x",
  " blank ",
  "-dash",
  "back\\slash",
])("a file named %j", async (name) => {
  const [one, two] = [await worktree(1), await worktree(2)];
  await write(one, { [name]: "one\n" });
  await write(two, { [name]: "two\n" });
  expect(await brief()).toEqual([[name, [1, 2], "both-added"]]);
});

test("what both have alike, and what one has from the other, is no conflict", async () => {
  const one = await worktree(1);
  await edit(one, "a.txt", 3, "one");
  await commit(one);
  const two = await worktree(2, "agent/1");
  await write(one, { "same.txt": "alike\n", ".env.agent-harness": "AGENT_DB_PORT=1\n" });
  await write(two, { "same.txt": "alike\n", ".env.agent-harness": "AGENT_DB_PORT=2\n" });
  expect(await brief()).toEqual([]);
  await edit(two, "a.txt", 4, "two, on top of one");
  expect(await brief()).toEqual([]);
  await edit(one, "a.txt", 4, "one goes on");
  expect(await brief()).toEqual([["a.txt", [1, 2], "same-lines"]]);
});

test("what came from the base since is nobody's change; another base may be named", async () => {
  const [one, two] = [await worktree(1), await worktree(2)];
  await edit(repo, "a.txt", 3, "the base goes on");
  await commit(repo);
  await git(one, "merge", "-q", "main");
  await edit(two, "a.txt", 10, "two");
  expect(await brief()).toEqual([]);
  // Counted from before that, the base's own change is one of agent 1.
  expect(await brief("main~1")).toEqual([["a.txt", [1, 2], "other-lines"]]);
  await expect(look("no-such")).rejects.toMatchObject({ code: "GIT_REF_NOT_FOUND" });
  await expect(look("--all")).rejects.toMatchObject({ code: "GIT_REF_NOT_FOUND" });
});

test("origin's default branch is the base where there is one", async () => {
  const clone = join(root, "clone");
  await git(root, "clone", "-q", repo, clone);
  await claim(5, clone);
  await git(clone, "checkout", "-q", "-b", "topic");
  const found = await findConflicts({ paths, cwd: clone });
  expect(found.base.ref).toBe("origin/main");
  expect(found.worktrees).toMatchObject([{ agents: [5], branch: "topic", changed: 0 }]);
});

test("a detached HEAD, a shared folder, the main checkout, a folder that is gone", async () => {
  const [one, two] = [await worktree(1), await worktree(2)];
  await git(one, "checkout", "-q", "--detach");
  await edit(one, "a.txt", 3, "one");
  await claim(7, repo);
  await claim(8, repo);
  await edit(repo, "a.txt", 3, "in the main checkout");
  await rm(two, { recursive: true });
  const { conflicts, worktrees, missing } = await look();
  expect(conflicts.map(({ file, agents, pairs }) => [file, agents, pairs.map((pair) => pair.between)])).toEqual([
    ["a.txt", [1, 7, 8], [[[1], [7, 8]]]],
  ]);
  expect(worktrees.map(({ agents, branch }) => [agents, branch])).toEqual([
    [[1], undefined],
    [[7, 8], "main"],
  ]);
  expect(missing).toEqual([{ agent: 2, path: two, reason: "deleted" }]);
});

test("a file that cannot be read, and a checkout without an index, hide nothing else", async () => {
  const [one, two] = [await worktree(1), await worktree(2)];
  await edit(one, "a.txt", 3, "one");
  await edit(two, "a.txt", 3, "two");
  await write(one, { secret: "x" });
  await chmod(join(one, "secret"), 0);
  await rm(join(repo, ".git/worktrees/agent-2/index"));
  expect(await brief()).toEqual([["a.txt", [1, 2], "same-lines"]]);
});

test("a checkout that git cannot read as it is is named, and the others are compared all the same", async () => {
  const [one, two, three] = [await worktree(1), await worktree(2), await worktree(3)];
  for (const folder of [one, two, three]) await edit(folder, "a.txt", 3, folder);
  await git(repo, "config", "filter.broken.clean", "false");
  await git(repo, "config", "filter.broken.required", "true");
  await write(three, { ".gitattributes": "*.txt filter=broken\n" });
  const { conflicts, missing } = await look();
  expect(conflicts.map(({ file, agents }) => [file, agents])).toEqual([["a.txt", [1, 2]]]);
  expect(missing).toEqual([{ agent: 3, path: three, reason: expect.stringContaining("clean filter 'broken' failed") }]);
});

test("outside of git it is a usage error", async () => {
  await expect(findConflicts({ paths, cwd: root })).rejects.toMatchObject({ code: "USAGE" });
});
