import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { git } from "../../testing/small.ts";
import { carryOver } from "./carry-over.ts";

let root: string;
let from: string;
let to: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "ah-carry-"));
  from = join(root, "from");
  to = join(root, "to");
  await mkdir(from);
  await git(from, "init", "-q");
  await write(from, { ".gitignore": "/cache/\n.env\n*.key\nnode_modules\n/mixed/*.bin\n/data/\n" });
  await git(from, "add", "-A");
  await git(from, "commit", "-q", "-m", "one");
  await git(from, "worktree", "add", "-q", to);
});
afterEach(async () => await rm(root, { recursive: true, force: true }));

async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

const below = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((one) => !one.isDirectory())
    .map((one) => join(one.parentPath, one.name).slice(folder.length + 1))
    .filter((name) => ![".git", ".gitignore"].includes(name))
    .sort();

test("without a list nothing is carried", async () => {
  await write(from, { ".env": "secret" });
  expect(await carryOver(from, to)).toEqual([]);
  expect(await below(to)).toEqual([]);
});

test("files, folders, what is nested, odd names; only what is named and ignored", async () => {
  await write(from, {
    ".worktreeinclude": "# comment\n.env\n/cache/\nnode_modules\n/data/keep\nnew.txt\n*.key\n!not.key\n",
    ".env": "secret",
    "cache/a/b": "b",
    "cache/wörd \n": "odd",
    "packages/web/node_modules/x/index.js": "x",
    "packages/web/.env": "nested",
    "data/keep": "keep",
    "data/drop": "drop",
    "new.txt": "somebody's unfinished work",
    "one.key": "1",
    "not.key": "0",
    ".env.agent.3": "another agent's",
  });
  await carryOver(from, to);
  expect(await below(to)).toEqual(
    [
      ".env",
      "cache/a/b",
      "cache/wörd \n",
      "data/keep",
      "one.key",
      "packages/web/.env",
      "packages/web/node_modules/x/index.js",
    ].sort(),
  );
  expect(await readFile(join(to, "packages/web/.env"), "utf8")).toBe("nested");
  expect(await git(to, "status", "--porcelain")).toBe("");
});

test("of a folder that is named but only ignored in part, that part", async () => {
  await write(from, { ".worktreeinclude": "/mixed/\n", "mixed/a.bin": "a", "mixed/unfinished.txt": "work" });
  expect(await carryOver(from, to)).toEqual(["mixed/a.bin"]);
  expect(await below(to)).toEqual(["mixed/a.bin"]);
});

test("symlinks stay what they are, modes and times too", async () => {
  await write(from, { ".worktreeinclude": "/cache/\n.env\n", "cache/run": "#!/bin/sh\n" });
  await symlink("../cache/run", join(from, "cache", "link"));
  await symlink("/nowhere/at all", join(from, ".env"));
  const before = await lstat(join(from, "cache", "run"));
  await carryOver(from, to);
  expect(await readlink(join(to, "cache", "link"))).toBe("../cache/run");
  expect(await readlink(join(to, ".env"))).toBe("/nowhere/at all");
  const after = await lstat(join(to, "cache", "run"));
  expect([after.mode, Math.round(after.mtimeMs)]).toEqual([before.mode, Math.round(before.mtimeMs)]);
});

test("what is there is not overwritten, be it a symlink to nowhere", async () => {
  await write(from, {
    ".worktreeinclude": ".env\n/cache/\n*.key\n",
    ".env": "main",
    "cache/a": "main",
    "one.key": "main",
  });
  await write(to, { ".env": "own", "cache/b": "own" });
  await symlink("/nowhere", join(to, "one.key"));
  await carryOver(from, to);
  expect(await below(to)).toEqual([".env", "cache/b", "one.key"]);
  expect(await readFile(join(to, ".env"), "utf8")).toBe("own");
  expect(await readlink(join(to, "one.key"))).toBe("/nowhere");
});

test("what a killed copy left is no work, and goes with the next", async () => {
  await write(from, { ".worktreeinclude": ".env\n", ".env": "secret" });
  await carryOver(from, to);
  await write(to, { ".agent-harness-carry/0badcafe/half": "half" });
  expect(await git(to, "status", "--porcelain")).toBe("");
  await carryOver(from, to);
  expect(await below(to)).toEqual([".env"]);
});

test("a folder that holds the worktree itself is not carried into it", async () => {
  const inside = join(from, "data", "trees", "one");
  await git(from, "worktree", "add", "-q", "-b", "one", inside);
  await write(from, { ".worktreeinclude": "/data/\n/cache/\n", "cache/a": "a" });
  expect(await carryOver(from, inside)).toEqual(["cache/"]);
});
