import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "../testing/crash.ts";
import { git } from "../testing/small.ts";
import { isThere, openTrees, type TreeHarness } from "../testing/trees.ts";

let h: TreeHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openTrees(["node install.mjs"]);
  repo = h.repo;
  await writeFile(
    join(repo, "install.mjs"),
    [
      'import { appendFileSync, existsSync } from "node:fs";',
      'appendFileSync("install.log", `${process.env.AGENT_ID} ${process.env.PGDATABASE} ${existsSync(".env")}\\n`);',
      'if (existsSync("broken")) { console.log("it is broken"); process.exit(3); }',
      "",
    ].join("\n"),
  );
  await writeFile(join(repo, ".worktreeinclude"), ".env\n/cache/\n");
  await h.commit(repo);
  await writeFile(join(repo, ".env"), "SECRET=1\n");
  await mkdir(join(repo, "cache"));
  await writeFile(join(repo, "cache", "a"), "a");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const launch = async (id: number, ...more: string[]) => await h.ok(repo, "launch", String(id), "--worktree", ...more);
const healthy = async (id: number) => expect(await h.ask(repo, String(id), "health")).toMatchObject({ healthy: true });
const head = async (ref: string) => (await git(repo, "rev-parse", ref)).trim();

test("ignored files come first, then the install; a failed one is gone on with, a done one not repeated", async () => {
  await git(repo, "checkout", "-q", "-b", "red");
  await writeFile(join(repo, "broken"), "");
  await h.commit(repo);
  await git(repo, "checkout", "-q", "main");
  const error = await h.refused(repo, "launch", "71", "--worktree", "--base", "red");
  expect(error).toMatchObject({ code: "INSTALL_FAILED", message: expect.stringContaining("it is broken") });
  expect(error.hint).toContain("agent-harness launch 71");
  const tree = h.tree(71);
  await git(tree, "reset", "-q", "--hard", "main");
  await h.ok(repo, "launch", "71");
  await h.ok(tree, "launch", "71");
  await h.ok(tree, "reset", "71");
  expect(await readFile(join(tree, "install.log"), "utf8")).toBe("71 agent_71 true\n".repeat(2));
  expect(await readFile(join(tree, ".env"), "utf8")).toBe("SECRET=1\n");
  expect(await readFile(join(tree, "cache", "a"), "utf8")).toBe("a");
  // All of that is ignored, and no reason to keep it.
  await h.ok(repo, "teardown", "71");
  await h.clean(71);
});

describe("teardown", () => {
  test("refuses uncommitted files and names them; with --force keeps the branch", async () => {
    await launch(72);
    const tree = h.tree(72);
    const odd = ["new", "two words", "line\nbreak", "-x", "ü"];
    for (const name of odd) await writeFile(join(tree, name), "");
    await writeFile(join(tree, "schema.sql"), "-- changed\n");
    const error = await h.refused(repo, "teardown", "72");
    expect(error).toMatchObject({
      code: "WORK_UNSAVED",
      exitCode: 5,
      message: expect.stringContaining("6 uncommitted files"),
    });
    expect(error.hint).toContain("agent-harness teardown 72 --force");
    await healthy(72);
    // One is enough.
    for (const name of odd.slice(1)) await rm(join(tree, name));
    await git(tree, "checkout", "-q", "schema.sql");
    expect(await h.refused(tree, "teardown", "72")).toMatchObject({
      message: expect.stringContaining("1 uncommitted file (new)"),
    });
    await h.ok(repo, "teardown", "72", "--force");
    await h.clean(72);
    expect(await git(repo, "branch", "--list", "agent-72")).not.toBe("");
  });

  test("refuses commits that only its branch has; --force keeps them, and a later launch does not lose them", async () => {
    await launch(72);
    await h.commit(h.tree(72), "precious");
    const commit = (await git(h.tree(72), "rev-parse", "HEAD")).trim();
    for (const more of [[], ["--delete-branch"]]) {
      const message = expect.stringContaining("1 commit that no remote and no other branch has");
      expect(await h.refused(repo, "teardown", "72", ...more)).toMatchObject({ code: "WORK_UNSAVED", message });
    }
    await h.ok(repo, "teardown", "72", "--force");
    expect(await head("agent-72")).toBe(commit);
    expect(await h.refused(repo, "launch", "72", "--worktree")).toMatchObject({ code: "BRANCH_TAKEN" });
    expect(await h.left(72)).toEqual([]);
    await launch(72, "agent-72");
    expect((await git(h.tree(72), "rev-parse", "HEAD")).trim()).toBe(commit);
    await h.ok(repo, "teardown", "72", "--force", "--delete-branch");
    await h.clean(72);
    expect(await git(repo, "branch", "--list", "agent-72")).toBe("");
  });

  test("--delete-branch does not lose the commits of a branch that the worktree has left", async () => {
    await launch(73);
    await h.commit(h.tree(73), "precious");
    await git(h.tree(73), "switch", "-q", "--create", "other", "main");
    expect(await h.refused(repo, "teardown", "73", "--delete-branch")).toMatchObject({ code: "WORK_UNSAVED" });
    await rm(h.tree(73), { recursive: true });
    expect(await h.refused(repo, "teardown", "73", "--delete-branch")).toMatchObject({ code: "WORK_UNSAVED" });
    await h.ok(repo, "teardown", "73");
    await h.clean(73);
    expect((await git(repo, "log", "-1", "--format=%s", "agent-73")).trim()).toBe("precious");
    await git(repo, "branch", "-q", "-D", "agent-73", "other");
  });

  test("refuses a commit on no branch and says how to keep it, also when the files are gone already", async () => {
    await launch(74);
    await git(h.tree(74), "switch", "-q", "--detach");
    await h.commit(h.tree(74), "precious");
    const error = { code: "WORK_UNSAVED", hint: expect.stringContaining("switch -c") };
    expect(await h.refused(repo, "teardown", "74")).toMatchObject(error);
    await rm(h.tree(74), { recursive: true });
    expect(await h.refused(repo, "teardown", "74")).toMatchObject({ code: "WORK_UNSAVED" });
    await h.ok(repo, "teardown", "74", "--force");
    await h.clean(74);
  });

  test("leaves a worktree that somebody locked, unless forced to", async () => {
    await launch(74);
    await git(repo, "worktree", "lock", h.tree(74), "--reason", "on a disk of mine");
    const error = { code: "WORKTREE_TAKEN", hint: expect.stringContaining(`git worktree unlock ${h.tree(74)}`) };
    expect(await h.refused(repo, "teardown", "74")).toMatchObject(error);
    await h.ok(repo, "teardown", "74", "--force");
    await h.clean(74);
  });

  test("does not take what a process writes while it is stopped", async () => {
    await writeFile(
      join(h.repo, "idle.mjs"),
      await readFile(join(repo, "idle.mjs"), "utf8").then(
        (text) =>
          `import { writeFileSync } from "node:fs";\nprocess.on("SIGINT", () => { writeFileSync("late", "work"); process.exit(0); });\n${text}`,
      ),
    );
    await git(repo, "checkout", "-q", "-b", "late");
    await h.commit(repo);
    await git(repo, "checkout", "-q", "main");
    await launch(75, "--base", "late");
    const error = await h.refused(repo, "teardown", "75");
    expect(error).toMatchObject({ code: "SURVIVORS", message: expect.stringContaining("1 uncommitted file (late)") });
    expect(await readFile(join(h.tree(75), "late"), "utf8")).toBe("work");
    await h.ok(repo, "teardown", "75", "--force");
    await h.clean(75);
  });
});

describe("files deleted by hand", () => {
  test("teardown takes the rest, git's record too", async () => {
    await launch(76);
    await rm(h.tree(76), { recursive: true });
    await h.ok(repo, "teardown", "76");
    await h.clean(76);
  });

  test("launch makes them again, with the branch's commits, and installs again", async () => {
    await launch(76);
    await h.commit(h.tree(76), "precious");
    await rm(h.tree(76), { recursive: true });
    await h.ok(repo, "launch", "76");
    await healthy(76);
    expect((await git(h.tree(76), "log", "-1", "--format=%s")).trim()).toBe("precious");
    expect(await readFile(join(h.tree(76), "install.log"), "utf8")).toBe("76 agent_76 true\n");
    await h.ok(repo, "teardown", "76", "--force", "--delete-branch");
    await h.clean(76);
  });

  test("moved away by git's own means, the worktree is still known", async () => {
    await launch(76);
    await rm(join(h.paths.stacks, "76", "ledger.json"));
    const moved = join(h.trees, "elsewhere");
    await git(repo, "worktree", "move", h.tree(76), moved);
    await writeFile(join(moved, "unsaved"), "");
    expect(await h.refused(repo, "teardown", "76")).toMatchObject({
      code: "WORK_UNSAVED",
      message: expect.stringContaining(moved),
    });
    await h.ok(repo, "teardown", "76", "--force", "--delete-branch");
    expect(await isThere(moved)).toBe(false);
    await h.clean(76);
  });
});

describe("with its ledger lost", () => {
  const lose = async (id: number) => await rm(join(h.paths.stacks, String(id), "ledger.json"), { force: true });

  test("a stack is launched again in its worktree", async () => {
    await launch(77);
    await lose(77);
    await h.ok(repo, "launch", "77");
    expect(await h.ledger(77)).toMatchObject({ workdir: h.tree(77), status: "ready" });
    await lose(77);
    await h.ok(repo, "launch", "77", "--worktree");
    await healthy(77);
  });

  test("its work is still refused to teardown, and all of it goes then: trash and branch too", async () => {
    await lose(77);
    await writeFile(join(h.tree(77), "unsaved"), "");
    expect(await h.refused(repo, "teardown", "77")).toMatchObject({ code: "WORK_UNSAVED" });
    await lose(77);
    await h.ok(repo, "teardown", "77", "--force", "--delete-branch");
    await h.clean(77);
    expect(await git(repo, "branch", "--list", "agent-77")).toBe("");
  });

  test("a record of another worktree that git has given the same name is left alone", async () => {
    await launch(78);
    await rm(h.tree(78), { recursive: true });
    await git(repo, "worktree", "prune");
    const other = join(h.home, "other", "agent-78");
    await git(repo, "worktree", "add", "-q", "-b", "mine", other);
    expect(await readdir(join(repo, ".git", "worktrees"))).toContain("agent-78");
    await h.ok(repo, "teardown", "78");
    expect((await git(other, "branch", "--show-current")).trim()).toBe("mine");
    await git(repo, "worktree", "remove", other);
    await h.clean(78);
  });
});

test("a worktree that is moved away by hand is not taken for gone work", async () => {
  await launch(79);
  await writeFile(join(h.tree(79), "unsaved"), "work");
  const moved = join(h.home, "moved");
  await rename(h.tree(79), moved);
  await h.ok(repo, "teardown", "79");
  expect(await readFile(join(moved, "unsaved"), "utf8")).toBe("work");
  await h.clean(79);
});
