import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { build, type Doing, killedWhile } from "../testing/crash.ts";
import { expectTree, openTrees, type TreeHarness } from "../testing/trees.ts";

/* Killed at the steps that a launch tells of; between them: crash-worktree-git.live.test.ts. */

let h: TreeHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openTrees(["node install.mjs"]);
  repo = h.repo;
  await writeFile(
    join(repo, "install.mjs"),
    'import { appendFileSync } from "node:fs"; appendFileSync("install.log", "done\\n");\n',
  );
  await writeFile(join(repo, ".worktreeinclude"), ".env\n/cache/\n");
  await h.commit(repo);
  await writeFile(join(repo, ".env"), "SECRET=1\n");
  await mkdir(join(repo, "cache"));
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const launching = (id: number): Doing => ({ verb: "launch", repo, id, options: { worktree: { kind: "branch" } } });

const works = (id: number): Promise<void> => expectTree(h, id);

/** Nothing that is there is work: no force is needed. */
async function goes(id: number): Promise<void> {
  await h.ok(repo, "teardown", String(id));
  await h.clean(id);
}

// The other steps do not know of the worktree: crash.live.test.ts.
const steps = ["worktree", "install", "database", "env-file", "processes", "health"];

describe.each(steps)("a launch killed at %s", (kind) => {
  test("is taken on by the next, with and without its option, or torn down at once", async () => {
    const again = async (id: number, event: "start" | "done", ...more: string[]): Promise<void> => {
      await killedWhile(h, launching(id), kind, event);
      // Before the worktree is made there may be nothing that knows of it.
      await h.ok(repo, "launch", String(id), ...(kind === "worktree" ? ["--worktree"] : more));
      await works(id);
      await goes(id);
    };
    const atOnce = async (id: number, event: "start" | "done"): Promise<void> => {
      await killedWhile(h, launching(id), kind, event);
      await goes(id);
    };
    await Promise.all([again(71, "start"), again(72, "done", "--worktree"), atOnce(73, "start"), atOnce(74, "done")]);
  });
});

test.each(["start", "done"] as const)(
  "a teardown killed at the worktree's %s is finished by the next",
  async (event) => {
    await h.ok(repo, "launch", "79", "--worktree");
    await killedWhile(h, { verb: "teardown", repo, id: 79 }, "worktree", event);
    await goes(79);
  },
);
