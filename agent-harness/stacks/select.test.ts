import { execFile } from "node:child_process";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { findRepository } from "./project.ts";
import { claimId, listClaims, releaseId } from "./registry.ts";
import { selectStack, stacksOf } from "./select.ts";

const run = promisify(execFile);

let root: string;
let paths: HomePaths;
let repo: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "ah-select-")));
  paths = homePaths(join(root, "home"));
  repo = join(root, "repo");
  await mkdir(join(repo, "deep", "er"), { recursive: true });
  await git("init", "-q");
  await git("-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "--allow-empty", "-m", "start");
});
afterEach(async () => await rm(root, { recursive: true }));

const git = (...args: string[]) => run("git", ["-C", repo, ...args]);

async function claim(id: number, workdir: string): Promise<void> {
  const repository = (await findRepository(workdir)) ?? workdir;
  await claimId(paths, { id, repository, project: "p", workdir, configPath: join(workdir, "agent-harness.yml") });
}

const select = (cwd: string, given?: string, env = {}) => selectStack({ paths, given, env, cwd });

test("the id given comes first, then AGENT_ID, whatever the folder", async () => {
  await claim(4, repo);
  expect(await select(repo, "7", { AGENT_ID: "8" })).toBe(7);
  expect(await select(repo, undefined, { AGENT_ID: "8" })).toBe(8);
  expect(await select(repo, undefined, { AGENT_ID: "" })).toBe(4);
  await expect(select(repo, "0")).rejects.toMatchObject({ code: "AGENT_ID_INVALID" });
  await expect(select(repo, undefined, { AGENT_ID: "1; drop" })).rejects.toMatchObject({ code: "AGENT_ID_INVALID" });
});

test("then the stack whose working directory holds this folder", async () => {
  const tree = join(root, "tree");
  await git("worktree", "add", "-q", tree, "-b", "other");
  await claim(4, repo);
  await claim(5, tree);
  expect(await select(join(repo, "deep", "er"))).toBe(4);
  expect(await select(tree)).toBe(5);
});

test("then the only one of this repository; a worktree counts as the same repository", async () => {
  const tree = join(root, "tree");
  await git("worktree", "add", "-q", tree, "-b", "other");
  await claim(4, join(repo, "deep"));
  await claim(9, join(root, "home"));
  expect(await select(repo)).toBe(4);
  expect(await select(tree)).toBe(4);
  expect((await stacksOf(paths, { cwd: tree })).map((one) => one.id)).toEqual([4]);
  expect((await stacksOf(paths, { cwd: tree, everywhere: true })).map((one) => one.id)).toEqual([4, 9]);
});

test("several are listed, unless any of one folder will do", async () => {
  await claim(4, repo);
  await claim(5, repo);
  await expect(select(repo)).rejects.toMatchObject({
    code: "STACK_AMBIGUOUS",
    message: expect.stringContaining("4, 5"),
  });
  expect(await selectStack({ paths, env: {}, cwd: repo, sharedIsFine: true })).toBe(4);
});

test("none is said, with the ids that there are", async () => {
  await expect(select(repo)).rejects.toMatchObject({ code: "STACK_NOT_FOUND", hint: "Run: agent-harness launch 1" });
  await claim(4, repo);
  await expect(select(root)).rejects.toMatchObject({ code: "STACK_NOT_FOUND", hint: "Give an id: 4." });
});

test("a folder whose name only begins alike is another one", async () => {
  await claim(4, repo);
  await mkdir(`${repo}sitory`);
  await expect(select(`${repo}sitory`)).rejects.toMatchObject({ code: "STACK_NOT_FOUND" });
});

test("of folders that lie in each other, the one nearest to where we stand", async () => {
  const inner = join(repo, ".worktrees/2");
  await mkdir(join(inner, "src"), { recursive: true });
  await claim(4, repo);
  await claim(5, inner);
  expect(await select(join(inner, "src"))).toBe(5);
  expect(await select(repo)).toBe(4);
});

test("an id is claimed once; the same folder may claim it again, a worktree of its repository may not, and a released one is free", async () => {
  await claim(1, repo);
  await claim(1, repo);
  const other = join(root, "elsewhere");
  await mkdir(other);
  await expect(claim(1, other)).rejects.toMatchObject({
    code: "AGENT_ID_TAKEN",
    context: { workdir: repo, free: 2 },
  });
  await expect(claim(1, join(repo, "worktree"))).rejects.toMatchObject({ code: "AGENT_ID_TAKEN" });
  await releaseId(paths, 1);
  await releaseId(paths, 1);
  await claim(1, other);
  expect((await listClaims(paths)).map((one) => one.workdir)).toEqual([other]);
});

test("claims at the same time are all kept", async () => {
  await Promise.all(Array.from({ length: 20 }, (_, at) => claim(at + 1, repo)));
  expect(await listClaims(paths)).toHaveLength(20);
});
