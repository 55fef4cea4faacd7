import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { git } from "../../testing/small.ts";
import { describeUnsaved, filesOf, findUnsavedWork, isUnsaved } from "./state.ts";

describe("unsaved work in words", () => {
  test.each([
    [{ files: ["a"], commits: 0 }, "1 uncommitted file (a)"],
    [
      { files: ["a", "b"], commits: 1 },
      "2 uncommitted files (a, b) and 1 commit that no remote and no other branch has",
    ],
    [{ files: [], commits: 2, detached: true }, "2 commits that no branch and no remote has"],
    [{ files: ["1", "2", "3", "4", "5", "6"], commits: 0 }, "6 uncommitted files (1, 2, 3, 4, 5 …)"],
    [
      { files: ["two words", "line\nbreak", "\u001b[2J"], commits: 0 },
      '3 uncommitted files ("two words", "line\\nbreak", "\\u001b[2J")',
    ],
  ])("%j", (unsaved, words) => {
    expect(describeUnsaved(unsaved)).toBe(words);
    expect(isUnsaved(unsaved)).toBe(true);
  });

  test("nothing is not unsaved", () => expect(isUnsaved({ files: [], commits: 0, detached: true })).toBe(false));
});

test("the names that git tells: a renamed file is one, whatever is in a name stays", () => {
  const status = [" M a b", "?? new\nline", "R  new", "old", " R after", "before", "?? R  x", "D  gone", ""].join("\0");
  expect(filesOf(status)).toEqual(["a b", "new\nline", "new", "after", "R  x", "gone"]);
});

describe("what only a worktree has", () => {
  let root: string;
  let repo: string;
  let tree: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "ah-state-"));
    repo = join(root, "repo");
    tree = join(root, "tree");
    await mkdir(repo);
    await git(repo, "init", "-q");
    await git(repo, "commit", "-q", "--allow-empty", "-m", "one");
    await git(repo, "worktree", "add", "-q", "-b", "work", tree);
  });
  afterEach(async () => await rm(root, { recursive: true, force: true }));

  const commit = async (message: string) => await git(tree, "commit", "-q", "--allow-empty", "-m", message);

  test("nothing, at first", async () => expect(await findUnsavedWork(tree)).toEqual({ files: [], commits: 0 }));

  test("new, changed and renamed files, with odd names, in new folders; none that is ignored", async () => {
    for (const name of ["kept", "moved", ".gitignore"])
      await writeFile(join(tree, name), name === ".gitignore" ? "*.log\n" : name);
    await git(tree, "add", "-A");
    await commit("files");
    await git(repo, "merge", "-q", "work");
    await git(tree, "mv", "moved", "moved to");
    await writeFile(join(tree, "kept"), "changed");
    await mkdir(join(tree, "folder"));
    for (const name of ['folder/ü\n"x"', "a.log", "-x"]) await writeFile(join(tree, name), "");
    const { files, commits } = await findUnsavedWork(tree);
    expect(files.sort()).toEqual(["-x", 'folder/ü\n"x"', "kept", "moved to"]);
    expect(commits).toBe(0);
  });

  test("commits, until another branch or a remote has them", async () => {
    await commit("two");
    expect(await findUnsavedWork(tree)).toMatchObject({ commits: 1 });
    await git(repo, "branch", "saved", "work");
    expect(await findUnsavedWork(tree)).toMatchObject({ commits: 0 });
    await git(repo, "branch", "-D", "saved");
    await git(repo, "update-ref", "refs/remotes/origin/work", "work");
    expect(await findUnsavedWork(tree)).toMatchObject({ commits: 0 });
  });

  test("commits on no branch, and those of a pull request that was fetched", async () => {
    await git(tree, "switch", "-q", "--detach");
    await commit("two");
    expect(await findUnsavedWork(tree)).toEqual({ files: [], commits: 1, detached: true });
    await git(tree, "update-ref", "refs/agent-harness/pr-7", "HEAD");
    expect(await findUnsavedWork(tree)).toMatchObject({ commits: 0 });
  });

  test("those of its first branch count when that is to go, also after it was left", async () => {
    await commit("two");
    await git(tree, "switch", "-q", "--create", "other", "main");
    expect(await findUnsavedWork(tree)).toMatchObject({ commits: 0 });
    expect(await findUnsavedWork(tree, { branch: "work" })).toMatchObject({ commits: 1 });
    expect(await findUnsavedWork(tree, { branch: "not-there" })).toMatchObject({ commits: 0 });
  });

  test("a branch without a commit has none to lose, only files", async () => {
    await git(tree, "switch", "-q", "--orphan", "empty");
    await writeFile(join(tree, "a"), "");
    expect(await findUnsavedWork(tree)).toEqual({ files: ["a"], commits: 0 });
  });
});
