import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "../testing/crash.ts";
import { git, smallConfig } from "../testing/small.ts";
import { isThere, openTrees, type TreeHarness, treesConfig } from "../testing/trees.ts";

let h: TreeHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openTrees();
  repo = h.repo;
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const branchIn = async (folder: string) => (await git(folder, "branch", "--show-current")).trim();
const subjectIn = async (folder: string) => (await git(folder, "log", "-1", "--format=%s")).trim();
const answers = async (id: number) => (await fetch(`http://localhost:${8000 + id * 10}/`)).json();

describe("launch --worktree", () => {
  test("makes one on a new branch, runs the stack there, and leaves the main checkout as it is", async () => {
    await h.ok(repo, "launch", "71", "--worktree");
    const tree = h.tree(71);
    expect([await branchIn(tree), await subjectIn(tree)]).toEqual(["agent-71", "worktrees"]);
    expect(await answers(71)).toMatchObject({ id: "71", database: "agent_71" });
    expect(await h.ledger(71)).toMatchObject({ workdir: tree, repository: repo, status: "ready" });
    expect(await isThere(join(tree, ".env.agent.71"))).toBe(true);
    for (const folder of [repo, tree]) expect(await git(folder, "status", "--porcelain")).toBe("");
    // Again, from both places, with the option and without.
    const before = await h.pids(71);
    for (const [cwd, ...more] of [[repo], [tree], [repo, "--worktree"], [tree, "--worktree", "agent-71"]] as const)
      await h.ok(cwd, "launch", "71", ...more);
    expect(await h.pids(71)).toEqual(before);
  });

  test("a reset stays in the worktree", async () => {
    await writeFile(join(h.tree(71), "unsaved"), "work");
    await h.ok(repo, "reset", "71");
    expect(await h.ledger(71)).toMatchObject({ workdir: h.tree(71) });
    expect(await readFile(join(h.tree(71), "unsaved"), "utf8")).toBe("work");
    expect(await answers(71)).toMatchObject({ id: "71" });
    await rm(join(h.tree(71), "unsaved"));
    await h.ok(h.tree(71), "reset", "71");
    await h.ok(repo, "teardown", "71");
    await h.clean(71);
    expect(await branchIn(repo)).toBe("main");
  });

  test("for a stack that runs elsewhere is refused, and leaves it as it is", async () => {
    await h.ok(repo, "launch", "72");
    expect(await h.refused(repo, "launch", "72", "--worktree")).toMatchObject({ code: "WORKTREE_TAKEN", exitCode: 5 });
    await h.ok(repo, "teardown", "72");
    await h.ok(repo, "launch", "72", "--worktree", "named");
    for (const argv of [
      ["--worktree", "other"],
      ["--pr", "3"],
      ["--adopt", repo],
    ]) {
      const error = await h.refused(repo, "launch", "72", ...argv);
      expect(error).toMatchObject({ code: "WORKTREE_TAKEN", message: expect.stringContaining("branch named") });
    }
    expect(await answers(72)).toMatchObject({ id: "72" });
    const other = await h.project({ "agent-harness.yml": treesConfig(h.trees).replace("name: small", "name: other") });
    // Its worktree would be at the same path.
    expect(await h.refused(other, "launch", "72", "--worktree")).toMatchObject({ code: "AGENT_ID_TAKEN" });
    await h.ok(repo, "teardown", "72");
    await h.clean(72);
  });

  test("what is refused leaves no claim on the id behind: the hint can be followed", async () => {
    await mkdir(h.tree(72), { recursive: true });
    await writeFile(join(h.tree(72), "mine"), "mine");
    const first = await h.refused(repo, "launch", "72", "--worktree");
    expect(first).toMatchObject({ code: "WORKTREE_TAKEN", hint: expect.stringContaining(`--adopt ${h.tree(72)}`) });
    expect(await h.left(72)).toEqual([]);
    expect(await readFile(join(h.tree(72), "mine"), "utf8")).toBe("mine");
    await rm(h.tree(72), { recursive: true });
    await git(repo, "worktree", "add", "-q", "-b", "held", h.tree(79));
    expect(await h.refused(repo, "launch", "72", "--worktree", "held")).toMatchObject({
      code: "BRANCH_TAKEN",
      hint: expect.stringContaining(`launch 72 --adopt ${h.tree(79)}`),
    });
    expect(await h.left(72)).toEqual([]);
    await h.ok(repo, "launch", "72", "--adopt", h.tree(79));
    await h.ok(repo, "teardown", "72", "--force", "--delete-branch");
    expect([await branchIn(h.tree(79)), await h.left(72, repo, h.tree(79))]).toEqual(["held", []]);
    await git(repo, "worktree", "remove", h.tree(79));
  });

  test("options that exclude each other, and names that no branch can have", async () => {
    const wrong = [
      ["--worktree", "--adopt", repo],
      ["--worktree", "--pr", "1"],
      ["--pr", "1", "--adopt", repo],
      ["--base", "HEAD"],
      ["--pr", "x"],
      ["--pr", "0"],
      ...["-x", "a..b", "two words", "a;rm", "@{-1}"].map((name) => [`--worktree=${name}`]),
    ];
    for (const argv of wrong)
      expect(await h.refused(repo, "launch", "72", ...argv), argv.join(" ")).toMatchObject({ code: "USAGE" });
    expect(await h.refused(repo, "launch", "72", "--worktree", "--base", "nowhere")).toMatchObject({
      code: "GIT_REF_NOT_FOUND",
    });
    expect(await h.left(72)).toEqual([]);
  });
});

test("an adopted worktree of another agent is safe from its owner's teardown, and from its own", async () => {
  await h.ok(repo, "launch", "73", "--worktree");
  const link = join(h.home, "link");
  await symlink(h.trees, link);
  await h.ok(repo, "launch", "74", "--adopt", join(link, "agent-73"));
  await h.ok(repo, "launch", "74", "--adopt", join(link, "agent-73"));
  for (const force of [[], ["--force"]]) {
    const error = await h.refused(repo, "teardown", "73", ...force);
    expect(error).toMatchObject({ code: "WORKTREE_TAKEN", hint: expect.stringContaining("teardown 74") });
  }
  expect([await answers(73), await answers(74)]).toMatchObject([{ id: "73" }, { id: "74" }]);
  await writeFile(join(h.tree(73), "unsaved"), "");
  await h.ok(repo, "teardown", "74", "--delete-branch");
  expect(await h.left(74, h.tree(73))).toEqual([]);
  expect(await isThere(join(h.tree(73), "unsaved"))).toBe(true);
  await h.ok(repo, "teardown", "73", "--force", "--delete-branch");
  await h.clean(73);
  expect(await git(repo, "branch", "--list", "agent-73")).toBe("");
});

test("--pr runs what origin has of it; untouched, it can be torn down without force", async () => {
  const origin = join(h.home, "origin.git");
  await git(h.home, "init", "-q", "--bare", origin);
  await git(repo, "remote", "add", "origin", origin);
  await git(repo, "commit", "-q", "--allow-empty", "-m", "theirs");
  await git(repo, "push", "-q", "origin", "HEAD:refs/pull/7/head");
  await git(repo, "reset", "-q", "--hard", "HEAD~1");
  await h.ok(repo, "launch", "75", "--pr", "7");
  expect([await branchIn(h.tree(75)), await subjectIn(h.tree(75))]).toEqual(["pr-7", "theirs"]);
  await h.ok(repo, "teardown", "75", "--delete-branch");
  await h.clean(75);
  expect(await git(repo, "for-each-ref", "refs/agent-harness", "refs/heads/pr-7")).toBe("");
  await git(repo, "remote", "remove", "origin");
});

test("a config that is not committed: refused with what to do, and teardown takes the worktree away", async () => {
  const bare = await h.project();
  await git(bare, "rm", "-q", "--cached", "agent-harness.yml");
  await git(bare, "commit", "-q", "-m", "without");
  await writeFile(join(bare, "agent-harness.yml"), treesConfig(h.trees));
  const error = await h.refused(bare, "launch", "76", "--worktree");
  expect(error).toMatchObject({ code: "CONFIG_NOT_FOUND", hint: expect.stringContaining("agent-harness teardown 76") });
  expect(await h.ledger(76)).toMatchObject({ status: "failed" });
  await h.ok(bare, "teardown", "76");
  await h.clean(76);
  await git(bare, "add", "agent-harness.yml");
  await git(bare, "commit", "-q", "-m", "with");
  await h.ok(bare, "launch", "76", "--worktree");
  await h.ok(bare, "teardown", "76", "--delete-branch");
  await h.clean(76);
});

test("a project in a folder of its repository, reached by a symlink, with what is this machine's alone", async () => {
  const mono = await h.project({ "README.md": "mono\n" });
  await mkdir(join(mono, "apps/web"), { recursive: true });
  const names = ["agent-harness.yml", "schema.sql", "build.mjs", "server.mjs", "idle.mjs"];
  for (const name of names) await git(mono, "mv", name, join("apps/web", name));
  const steps = ["node -e \"require('fs').appendFileSync('../../install.log', process.cwd() + '\\n')\""];
  await writeFile(
    join(mono, "apps/web/agent-harness.yml"),
    smallConfig({ rest: `worktree: { root: ${h.trees}, install: [${JSON.stringify(steps[0])}] }` }),
  );
  await writeFile(join(mono, ".gitignore"), "*.log\n");
  await h.commit(mono, "mono");
  await writeFile(join(mono, "apps/web/.env.agent-harness"), "# mine\n");
  const link = join(h.home, "mono");
  await symlink(mono, link);
  await h.ok(join(link, "apps/web"), "launch", "77", "--worktree");
  const workdir = join(h.tree(77), "apps/web");
  expect(await h.ledger(77)).toMatchObject({ workdir, repository: mono });
  expect(await readFile(join(h.tree(77), "install.log"), "utf8")).toBe(`${workdir}\n`);
  expect(await readFile(join(workdir, ".env.agent-harness"), "utf8")).toBe("# mine\n");
  expect(await isThere(join(workdir, ".env.agent.77"))).toBe(true);
  await h.ok(workdir, "launch", "77");
  await h.ok(join(mono, "apps/web"), "teardown", "77");
  expect(await h.left(77, mono, join(mono, "apps/web"))).toEqual([]);
  await h.clean(77);
});
