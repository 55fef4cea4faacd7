import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { git } from "./git.ts";

const raw = promisify(execFile);
let repo: string;
let record: string;

/** A repository in which a worktree is just being made: its record is there, and a file of it still empty. */
beforeEach(async () => {
  repo = await mkdtemp(join(tmpdir(), "ah-git-"));
  const own = ["-c", "user.name=a", "-c", "user.email=a@b.test"];
  await git(repo, ["init", "--quiet"]);
  await git(repo, [...own, "commit", "--quiet", "--allow-empty", "-m", "first"]);
  await git(repo, ["worktree", "add", "--quiet", join(repo, "one")]);
  record = join(repo, ".git", "worktrees", "one", "commondir");
});
afterEach(() => rm(repo, { recursive: true }));

const add = (name: string): string[] => ["worktree", "add", "--quiet", join(repo, name)];

test("waits for a worktree that git is just making", async () => {
  const whole = await readFile(record, "utf8");
  await writeFile(record, "");
  const adding = git(repo, add("two"));
  // Began after it, so its own first try has met the same.
  await expect(raw("git", ["-C", repo, ...add("three")])).rejects.toThrow("failed to read");
  await writeFile(record, whole);
  await adding;
  expect(await git(repo, ["worktree", "list"])).toContain(join(repo, "two"));
});

test("fails with git's own words when its making was killed", async () => {
  await writeFile(record, "");
  await expect(git(repo, add("two"))).rejects.toMatchObject({
    code: "GIT_FAILED",
    message: expect.stringMatching(/failed to read \S*worktrees\/one\/commondir/),
  });
});
