import { lstat, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { git, openSmall, type SmallHarness, smallConfig } from "./small.ts";
import { until } from "./until.ts";

/** A small harness with a project whose worktrees are made in a folder of the harness's home. */
export interface TreeHarness extends SmallHarness {
  repo: string;
  trees: string;
  /** Where the worktree of an agent is made. */
  tree: (id: number) => string;
  /** Commits all that there is in a folder. */
  commit: (folder: string, message?: string) => Promise<void>;
  /** Expects that nothing of an agent's worktree is left, and that the main checkout is as it was; the branch may stay. */
  clean: (id: number) => Promise<void>;
}

/** The config of a project whose worktrees are made in a folder. */
export const treesConfig = (trees: string, install: readonly string[] = []): string =>
  smallConfig({ rest: `worktree: { root: ${trees}, install: ${JSON.stringify(install)} }` });

/** Opens one; infra runs and the template database is built. */
export async function openTrees(install?: readonly string[]): Promise<TreeHarness> {
  const h = await openSmall();
  const repo = await h.project({ ".gitignore": "*.log\n/cache/\n.env\n" });
  const trees = join(h.home, "trees");
  const commit = async (folder: string, message = "work"): Promise<void> => {
    await git(folder, "add", "-A");
    await git(folder, "commit", "-q", "--allow-empty", "-m", message);
  };
  await writeFile(join(repo, "agent-harness.yml"), treesConfig(trees, install));
  await commit(repo, "worktrees");
  await h.ok(repo, "setup");
  const tree = (id: number): string => join(trees, `agent-${id}`);
  return {
    ...h,
    repo,
    trees,
    tree,
    commit,
    [Symbol.asyncDispose]: async () => {
      // A failed test may leave work that a teardown would refuse.
      await h.harness(h.home, "teardown-all", "--everywhere", "--force");
      await h[Symbol.asyncDispose]();
    },
    clean: async (id) => {
      expect(await h.left(id, repo)).toEqual([]);
      expect(await isThere(tree(id))).toBe(false);
      expect(await git(repo, "worktree", "list")).not.toContain(`agent-${id} `);
      expect(await git(repo, "status", "--porcelain")).toBe("");
      await until(
        "the trash is emptied",
        async () => !(await trashed(trees)).some((name) => name.startsWith(`agent-${id}-`)),
      );
    },
  };
}

/** Expects a stack that works in its worktree, with what was carried over and installed, and nothing that git would call work. */
export async function expectTree(h: TreeHarness, id: number): Promise<void> {
  expect(await h.ledger(id)).toMatchObject({ workdir: h.tree(id), status: "ready" });
  expect(await h.ask(h.repo, String(id), "health")).toMatchObject({ healthy: true });
  expect(await h.sql(`agent_${id}`, "select text from notes")).toEqual([{ text: "seed" }]);
  expect(await git(h.tree(id), "status", "--porcelain")).toBe("");
  expect(await readFile(join(h.tree(id), ".env"), "utf8")).toBe("SECRET=1\n");
  expect(await readFile(join(h.tree(id), "install.log"), "utf8")).toMatch(/done\n$/);
}

const trashed = (trees: string): Promise<string[]> => readdir(join(trees, ".agent-harness-trash")).catch(() => []);

/** Whether something is at a path, be it a symlink to nowhere. */
export const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );
