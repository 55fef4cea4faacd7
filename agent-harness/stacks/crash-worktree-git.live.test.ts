import { chmod, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findMarked, isAlive } from "../shared/process-tree.ts";
import { findExecutable } from "../shared/words.ts";
import { build, type Doing, killedWhile, startDoing } from "../testing/crash.ts";
import { git } from "../testing/small.ts";
import { expectTree, isThere, openTrees, type TreeHarness } from "../testing/trees.ts";
import { until } from "../testing/until.ts";
import { markVariable, stackMark } from "./plan.ts";

let h: TreeHarness;
let repo: string;
/** A git that kills whoever runs it at one of its commands. */
let killingGit: string;

beforeAll(async () => {
  await build();
  h = await openTrees(["node install.mjs"]);
  repo = h.repo;
  // Waits for ever while the main checkout has a file "hang".
  await writeFile(
    join(repo, "install.mjs"),
    [
      'import { appendFileSync, existsSync } from "node:fs";',
      'appendFileSync("install.log", `${process.pid}\\n`);',
      'console.log("installing");',
      `while (existsSync(${JSON.stringify(join(repo, "cache", "hang"))})) await new Promise((r) => setTimeout(r, 20));`,
      'appendFileSync("install.log", "done\\n");',
      "",
    ].join("\n"),
  );
  await writeFile(join(repo, ".worktreeinclude"), ".env\n/cache/\n");
  await h.commit(repo);
  await writeFile(join(repo, ".env"), "SECRET=1\n");
  await mkdir(join(repo, "cache"));
  const found = await findExecutable("git", { cwd: repo, path: (process.env["PATH"] ?? "").split(":") });
  killingGit = join(h.home, "bin");
  await mkdir(killingGit);
  const script = [
    "#!/bin/sh",
    'case " $* " in *" $KILL_AT "*) ;; *) exec REAL "$@" ;; esac',
    'case "$KILL_WHEN" in',
    '  after) REAL "$@" ;;',
    // As git leaves it that is killed in the middle of a checkout.
    '  during) printf half > "$2/server.mjs"; touch "$(REAL -C "$2" rev-parse --absolute-git-dir)/index.lock" ;;',
    "esac",
    "kill -9 $PPID",
  ];
  await writeFile(join(killingGit, "git"), script.join("\n").replaceAll("REAL", found ?? ""));
  await chmod(join(killingGit, "git"), 0o755);
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const launching = (id: number): Doing => ({ verb: "launch", repo, id, options: { worktree: { kind: "branch" } } });

const works = (id: number): Promise<void> => expectTree(h, id);

/** Nothing that is there is work: no force is needed. */
async function goes(id: number): Promise<void> {
  await h.ok(repo, "teardown", String(id));
  await h.clean(id);
}

describe.each([
  ["before git makes it", "worktree add", "before"],
  ["between git's making it and our stamp", "worktree add", "after"],
  ["between the stamp and the checkout", "reset --hard", "before"],
  ["with git, in the middle of the checkout", "reset --hard", "during"],
  ["between the checkout and the stamp that says so", "reset --hard", "after"],
  ["before files are carried over", "ls-files -z", "before"],
] as const)("a launch killed %s", (_, command, when) => {
  test("is taken on by the next, or torn down at once", async () => {
    const kill = async (id: number): Promise<void> => {
      const env = { PATH: `${killingGit}:${process.env["PATH"]}`, KILL_AT: command, KILL_WHEN: when };
      const { signal, stderr } = await startDoing(h, { ...launching(id), env }).ended;
      expect(signal, stderr).toBe("SIGKILL");
    };
    const again = async (id: number): Promise<void> => {
      await kill(id);
      await h.ok(repo, "launch", String(id));
      await works(id);
      await goes(id);
    };
    const atOnce = async (id: number): Promise<void> => {
      await kill(id);
      await goes(id);
    };
    await Promise.all([again(75), atOnce(76)]);
  });
});

test("a launch killed while files are carried over never shows half a folder", async () => {
  await mkdir(join(repo, "cache", "many"));
  for (let at = 0; at < 4000; at += 1) await writeFile(join(repo, "cache", "many", String(at)), "x");
  const kill = async (id: number): Promise<void> => {
    const { pid, ended } = startDoing(h, launching(id));
    const scratch = join(h.tree(id), ".agent-harness-carry");
    await until(
      "files are on their way",
      async () => {
        const [copy] = await readdir(scratch).catch(() => []);
        return copy !== undefined && (await isThere(join(scratch, copy, "many")));
      },
      60_000,
    );
    process.kill(pid, "SIGKILL");
    expect(await ended).toMatchObject({ signal: "SIGKILL" });
    expect(await isThere(join(h.tree(id), "cache"))).toBe(false);
  };
  await kill(77);
  await goes(77);
  await kill(77);
  await h.ok(repo, "launch", "77");
  await works(77);
  expect(await readdir(join(h.tree(77), "cache", "many"))).toHaveLength(4000);
  await goes(77);
});

test("a launch killed while the install runs: what it left running is stopped before the next install", async () => {
  const hang = join(repo, "cache", "hang");
  const kill = async (id: number): Promise<number> => {
    await writeFile(hang, "");
    const { pid, ended, stdout } = startDoing(h, launching(id));
    await until("it installs", () => stdout().includes('"installing"'), 60_000);
    process.kill(pid, "SIGKILL");
    expect(await ended).toMatchObject({ signal: "SIGKILL" });
    const { machine } = await h.infra();
    const [install] = await findMarked(markVariable, stackMark(machine, id));
    return install?.pid ?? 0;
  };
  const first = await kill(78);
  expect(isAlive(first)).toBe(true);
  const again = startDoing(h, launching(78));
  await until("it installs again", () => again.stdout().includes('"installing"'), 60_000);
  // A parent may take its time to collect it.
  await until("the first install is gone", () => !isAlive(first));
  await rm(hang);
  expect(await again.ended).toMatchObject({ code: 0 });
  await works(78);
  await goes(78);
  const second = await kill(78);
  await goes(78);
  await until("the second install is gone", () => !isAlive(second));
  await rm(hang);
});

describe("a teardown killed between the rename and git's record", () => {
  const half = async (id: number): Promise<void> => {
    await h.ok(repo, "launch", String(id), "--worktree");
    await git(h.tree(id), "commit", "-q", "--allow-empty", "-m", "precious");
    await killedWhile(h, { verb: "teardown", repo, id, options: { force: true } }, "worktree", "start");
    const trash = join(h.trees, ".agent-harness-trash");
    await mkdir(trash, { recursive: true });
    await rename(h.tree(id), join(trash, `agent-${id}-0badcafe`));
    expect(await git(repo, "worktree", "list")).toContain(`agent-${id} `);
  };
  const kept = async (id: number): Promise<void> => {
    expect((await git(repo, "log", "-1", "--format=%s", `agent-${id}`)).trim()).toBe("precious");
    await git(repo, "branch", "-q", "-D", `agent-${id}`);
  };

  test("is finished by the next; the branch stays", async () => {
    await half(79);
    await goes(79);
    await kept(79);
  });

  test("is launched over, on the branch as it was", async () => {
    await half(79);
    await h.ok(repo, "launch", "79");
    await works(79);
    await h.ok(repo, "teardown", "79", "--force");
    await h.clean(79);
    await kept(79);
  });
});
