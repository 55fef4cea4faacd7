import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { git } from "../../testing/small.ts";
import { makeWorktree, requireMakeable } from "./make.ts";
import { planWorktree, type WorktreeRequest } from "./request.ts";

let root: string;
let repo: string;
const owner = { machine: "here", id: 7 };

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "ah-request-")));
  repo = join(root, "repo");
  await mkdir(repo);
  await git(repo, "init", "-q");
  await git(repo, "commit", "-q", "--allow-empty", "-m", "one");
});
afterEach(async () => await rm(root, { recursive: true, force: true }));

const plan = (request: WorktreeRequest, at = join(root, "trees")) =>
  planWorktree({
    id: 7,
    request,
    repository: repo,
    config: { root: at, branch: "agent-{{id}}", install: [] },
    fill: (text) => text.replace("{{id}}", "7"),
  });
const head = async (ref: string) => (await git(repo, "rev-parse", ref)).trim();
const commit = async (folder: string, message: string) =>
  await git(folder, "commit", "-q", "--allow-empty", "-m", message);

describe("the name of a branch", () => {
  const odd = [
    "-x",
    "--force",
    "a..b",
    "two words",
    "a;rm",
    "a$(id)",
    "a`id`",
    "a'b",
    'a"b',
    "a|b",
    "a~1",
    "@{-1}",
    "HEAD",
    "a.lock",
    "/a",
    "a\nb",
    "",
  ];
  test.each(odd)("%j is refused", async (branch) => {
    await commit(repo, "two");
    await git(repo, "checkout", "-q", "-b", "other"); // so that @{-1} is one
    await expect(plan({ kind: "branch", branch })).rejects.toMatchObject({ code: "USAGE" });
  });

  test.each(["fix/it", "ümläut", "issue-#12", "a@b", "feat(x)"])("%s is fine", async (branch) => {
    const wanted = await plan({ kind: "branch", branch });
    expect(wanted).toMatchObject({ branch, start: await head("HEAD") });
    await makeWorktree(wanted, owner);
    expect((await git(wanted.path, "symbolic-ref", "--short", "HEAD")).trim()).toBe(branch);
  });
});

describe("what a branch begins at", () => {
  test.each(["nothing", "-x", "--all", "HEAD~9", "a b"])("base %j is refused", async (base) => {
    const error = { code: "GIT_REF_NOT_FOUND", message: expect.stringContaining(`"${base}"`) };
    await expect(plan({ kind: "branch", base })).rejects.toMatchObject(error);
  });

  test("HEAD, or the base; a branch that is there is wanted as it is, and takes no base", async () => {
    const first = await head("HEAD");
    await git(repo, "branch", "there");
    await commit(repo, "two");
    expect(await plan({ kind: "branch" })).toMatchObject({ branch: "agent-7", start: await head("HEAD") });
    expect(await plan({ kind: "branch", base: "HEAD~1" })).toMatchObject({ start: first });
    expect(await plan({ kind: "branch", branch: "there" })).not.toHaveProperty("start");
    await expect(plan({ kind: "branch", branch: "there", base: "main" })).rejects.toMatchObject({
      code: "BRANCH_TAKEN",
    });
  });

  test("origin's branch where only origin has one of that name", async () => {
    const first = await head("HEAD");
    await git(repo, "update-ref", "refs/remotes/origin/theirs", first);
    await commit(repo, "two");
    expect(await plan({ kind: "branch", branch: "theirs" })).toMatchObject({ start: first });
  });

  test("a repository without a commit says so", async () => {
    await git(repo, "checkout", "-q", "--orphan", "empty");
    await expect(plan({ kind: "branch" })).rejects.toMatchObject({ hint: expect.stringContaining("Commit first") });
  });

  test("the usual branch: with commits of its own refused, without them begun anew", async () => {
    await git(repo, "branch", "agent-7");
    await commit(repo, "two");
    const wanted = await plan({ kind: "branch" });
    await makeWorktree(wanted, owner);
    expect(await head("agent-7")).toBe(await head("main"));
    await commit(wanted.path, "three");
    const hint = expect.stringContaining("launch 7 --worktree agent-7");
    await expect(plan({ kind: "branch" })).rejects.toMatchObject({ code: "BRANCH_TAKEN", hint });
  });

  test("commits made after the plan are not lost", async () => {
    await git(repo, "branch", "agent-7");
    await commit(repo, "two");
    const wanted = await plan({ kind: "branch" });
    await git(repo, "checkout", "-q", "agent-7");
    await commit(repo, "meanwhile");
    await git(repo, "checkout", "-q", "main");
    await makeWorktree(wanted, owner);
    expect(await git(wanted.path, "log", "-1", "--format=%s")).toBe("meanwhile\n");
  });
});

describe("a pull request", () => {
  let origin: string;
  const push = async (message: string, ...more: string[]) => {
    await commit(repo, message);
    await git(repo, "push", "-q", ...more, "origin", "HEAD:refs/pull/7/head");
    await git(repo, "reset", "-q", "--hard", "HEAD~1");
  };

  beforeEach(async () => {
    origin = join(root, "origin.git");
    await git(root, "init", "-q", "--bare", origin);
    await git(repo, "remote", "add", "origin", origin);
    await push("theirs");
  });

  const subject = async (folder: string) => (await git(folder, "log", "-1", "--format=%s")).trim();
  const drop = async (path: string) => await git(repo, "worktree", "remove", "--force", path);

  test("is fetched, and fetched again when it was pushed anew with force", async () => {
    const wanted = await plan({ kind: "pr", number: 7 });
    await makeWorktree(wanted, owner);
    expect([wanted.branch, await subject(wanted.path)]).toEqual(["pr-7", "theirs"]);
    await drop(wanted.path);
    await push("theirs anew", "--force");
    await makeWorktree(await plan({ kind: "pr", number: 7 }), owner);
    expect(await subject(wanted.path)).toBe("theirs anew");
  });

  test("with commits of an agent's own on its branch is refused, and they stay", async () => {
    const wanted = await plan({ kind: "pr", number: 7 });
    await makeWorktree(wanted, owner);
    await commit(wanted.path, "ours");
    await drop(wanted.path);
    const error = { code: "BRANCH_TAKEN", message: expect.stringContaining("1 commit of its own") };
    await expect(plan({ kind: "pr", number: 7 })).rejects.toMatchObject(error);
    expect((await git(repo, "log", "-1", "--format=%s", "pr-7")).trim()).toBe("ours");
  });

  test("that is not there is refused in git's words", async () => {
    const message = expect.stringContaining("refs/pull/8/head");
    await expect(plan({ kind: "pr", number: 8 })).rejects.toMatchObject({ code: "GIT_FAILED", message });
  });
});

describe("the place", () => {
  test("is the real path, also of a root that is a symlink or not there yet; a relative one is the repository's", async () => {
    await mkdir(join(root, "real"));
    await symlink(join(root, "real"), join(root, "link"));
    expect((await plan({ kind: "branch" }, join(root, "link", "new"))).path).toBe(join(root, "real", "new", "agent-7"));
    expect((await plan({ kind: "branch" }, "../trees")).path).toBe(join(root, "trees", "agent-7"));
  });

  test("taken by what is not ours is refused, and left as it is; an empty folder is fine", async () => {
    const wanted = await plan({ kind: "branch" });
    await mkdir(wanted.path, { recursive: true });
    await requireMakeable(wanted, owner);
    await writeFile(join(wanted.path, "mine"), "mine");
    await expect(requireMakeable(wanted, owner)).rejects.toMatchObject({ code: "WORKTREE_TAKEN" });
    await rm(wanted.path, { recursive: true });
    await symlink("/nowhere", wanted.path);
    await expect(requireMakeable(wanted, owner)).rejects.toMatchObject({ code: "WORKTREE_TAKEN" });
  });

  test("with a worktree of another agent, another machine or another repository is refused", async () => {
    const wanted = await plan({ kind: "branch" });
    await makeWorktree(wanted, owner);
    await requireMakeable(wanted, owner);
    for (const other of [
      { ...owner, id: 8 },
      { ...owner, machine: "there" },
    ])
      await expect(requireMakeable(wanted, other)).rejects.toMatchObject({ code: "WORKTREE_TAKEN" });
    const second = join(root, "second");
    await git(root, "clone", "-q", repo, second);
    await expect(requireMakeable({ ...wanted, repository: second }, owner)).rejects.toMatchObject({
      code: "WORKTREE_TAKEN",
    });
    // The launch would tell of a branch that is not the one checked out.
    const error = { code: "WORKTREE_TAKEN", message: expect.stringContaining("on the branch agent-7") };
    await expect(requireMakeable({ ...wanted, branch: "other" }, owner)).rejects.toMatchObject(error);
  });

  test("a branch that is checked out elsewhere is refused, with what to do; also when that folder is gone", async () => {
    const elsewhere = join(root, "elsewhere");
    await git(repo, "worktree", "add", "-q", "-b", "work", elsewhere);
    const wanted = await plan({ kind: "branch", branch: "work" });
    const adopt = expect.stringContaining(`--adopt ${elsewhere}`);
    await expect(requireMakeable(wanted, owner)).rejects.toMatchObject({ code: "BRANCH_TAKEN", hint: adopt });
    await rm(elsewhere, { recursive: true });
    const prune = `Run: git -C ${repo} worktree prune`;
    await expect(requireMakeable(wanted, owner)).rejects.toMatchObject({ code: "BRANCH_TAKEN", hint: prune });
    await git(repo, "worktree", "prune");
    await makeWorktree(wanted, owner);
  });

  test("a record of files that are gone is in nobody's way, unless it alone names commits", async () => {
    const wanted = await plan({ kind: "branch" });
    await makeWorktree(wanted, owner);
    await rm(wanted.path, { recursive: true });
    await makeWorktree(wanted, owner);
    await git(wanted.path, "switch", "-q", "--detach");
    await commit(wanted.path, "on no branch");
    await rm(wanted.path, { recursive: true });
    await expect(makeWorktree(wanted, owner)).rejects.toMatchObject({ code: "GIT_FAILED" });
  });

  test("adopted: a worktree of this repository, from a folder inside of it too", async () => {
    const elsewhere = join(root, "elsewhere");
    await git(repo, "worktree", "add", "-q", "-b", "work", elsewhere);
    await mkdir(join(elsewhere, "inside"));
    const adopted = { path: elsewhere, branch: "work", adopted: true };
    expect(await plan({ kind: "adopt", path: join(elsewhere, "inside") })).toMatchObject(adopted);
    await git(root, "clone", "-q", repo, join(root, "second"));
    for (const path of [join(root, "second"), root, "/nowhere"])
      await expect(plan({ kind: "adopt", path })).rejects.toMatchObject({ code: "GIT_REF_NOT_FOUND" });
  });
});
