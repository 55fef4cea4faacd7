import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBuckets } from "../infra/buckets.ts";
import { isAlive } from "../shared/process-tree.ts";
import { build, killedWhile, startDoing } from "../testing/crash.ts";
import {
  answers,
  commentOn,
  itemNamed,
  itemsOf,
  type OrphanHarness,
  ofStack,
  openOrphans,
  startEscaped,
} from "../testing/orphans.ts";
import { git } from "../testing/small.ts";
import { sendMail } from "../testing/smtp.ts";
import { until } from "../testing/until.ts";
import { stackMark } from "./plan.ts";

let h: OrphanHarness;

beforeAll(async () => {
  await build();
  h = await openOrphans();
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

describe("what real launches made and nobody knows of any more", () => {
  test("goes, of whatever kind, and a stack with an owner is not touched; a dry run only says so", async () => {
    await h.ok(h.repo, "launch", "11", "--worktree");
    await h.ok(h.repo, "launch", "12");
    await h.ok(h.repo, "launch", "13");
    const { smtpPort } = (await h.infra()).mail;
    for (const id of [12, 13]) {
      const mail = { to: ["you@example.test"], subject: "hello", text: "hello" };
      await sendMail(smtpPort, { from: `agent-${id}@agent-harness.test`, ...mail });
    }
    const scratch = join(h.repo, ".env.agent.12.999999.0a1b2c3d.tmp");
    await writeFile(scratch, "");
    await h.forget(11, 12);
    const pid = startEscaped(stackMark(h.machine, 12));

    const before = await h.everything(11, 12, 13);
    const plan = await h.gc("--dry-run");
    expect(await h.everything(11, 12, 13)).toEqual(before);
    expect(isAlive(pid)).toBe(true);
    const would = (kinds: string[]): string[] => kinds.map((kind) => `would remove ${kind}`);
    expect(itemsOf(plan, 11)).toEqual(would([...ofStack, "worktree"]));
    const of12 = ["processes", ...ofStack, "env-file", "mailbox"];
    expect(itemsOf(plan, 12).sort()).toEqual(would(of12).sort());
    expect(itemsOf(plan, 13)).toEqual([]);

    const done = await h.gc();
    expect(done.map(({ kind, name }) => [kind, name])).toEqual(plan.map(({ kind, name }) => [kind, name]));
    expect(new Set(done.map((one) => one.action))).toEqual(new Set(["removed"]));
    for (const id of [11, 12]) expect(await h.left(id, h.repo, h.trees, join(h.trees, "agent-11"))).toEqual([]);
    await until("the escaped process to end", () => !isAlive(pid));
    expect(await readdir(h.trees)).toEqual([]);
    expect(await git(h.repo, "branch", "--list", "agent-11")).toContain("agent-11");
    expect(await h.gc()).toEqual([]);

    expect(await answers(13)).toMatchObject({ id: "13", database: "agent_13" });
    expect(await h.ask(h.repo, "13", "mail")).toHaveLength(1);
    await h.ok(h.repo, "teardown", "13");
    expect(await h.left(13)).toEqual([]);
  });

  test("is found from another folder too, by what is written on the database", async () => {
    await h.ok(h.repo, "launch", "12");
    await h.forget(12);
    const { exitCode, stdout } = await h.harness(h.home, "gc", "--json");
    expect(exitCode).toBe(0);
    expect(itemsOf(JSON.parse(stdout), 12)).toEqual(ofStack.map((kind) => `removed ${kind}`));
    expect(await h.left(12)).toEqual([]);
  });

  test("is owned by its claim alone, and by its ledger alone", async () => {
    await h.ok(h.repo, "launch", "12");
    await h.ok(h.repo, "launch", "13");
    await rm(join(h.paths.stacks, "12"), { recursive: true });
    const registry = JSON.parse(await readFile(h.paths.registry, "utf8"));
    delete registry.stacks["13"];
    await writeFile(h.paths.registry, JSON.stringify(registry));
    expect(await h.gc()).toEqual([]);
    await rm(h.paths.registry);
    // The ledger of 13 is all that is left; 12 has nothing.
    expect(new Set((await h.gc()).map((one) => one.owner))).toEqual(new Set([12]));
    expect(await answers(13)).toMatchObject({ id: "13" });
    await h.ok(h.repo, "teardown", "13");
    expect([...(await h.left(12)), ...(await h.left(13))]).toEqual([]);
  });

  test.each([
    ["ports", "done"],
    ["database", "done"],
    ["bucket", "start"],
    ["process-file", "start"],
    ["processes", "done"],
  ] as const)("goes also when its launch was killed at %s (%s)", async (step, event) => {
    await killedWhile(h, { verb: "launch", repo: h.repo, id: 14 }, step, event);
    await h.forget(14);
    await h.gc();
    expect(await h.left(14)).toEqual([]);
    expect(await h.gc()).toEqual([]);
  });

  test("goes in two runs when the first is killed in the middle", async () => {
    await h.ok(h.repo, "launch", "14");
    await h.ok(h.repo, "launch", "15", "--worktree");
    await h.forget(14, 15);
    const running = startDoing(h, { verb: "gc", repo: h.repo, id: 0 });
    await until("the first database to go", async () => !(await h.databases()).includes("agent_14"));
    process.kill(running.pid, "SIGKILL");
    expect((await running.ended).signal).toBe("SIGKILL");
    await h.gc();
    expect([...(await h.left(14)), ...(await h.left(15, h.trees))]).toEqual([]);
    expect(await h.gc()).toEqual([]);
  });
});

describe("a worktree that nobody owns", () => {
  test("stays with the work in it, named with what shows it; committed and pushed elsewhere, it goes", async () => {
    await h.ok(h.repo, "launch", "15", "--worktree");
    const path = join(h.trees, "agent-15");
    await writeFile(join(path, "work.txt"), "hours of it\n");
    await h.forget(15);
    const kept = itemNamed(await h.gc(), path);
    expect(kept).toMatchObject({ kind: "worktree", owner: 15, action: "kept" });
    expect(kept?.reason).toContain("1 uncommitted file (work.txt)");
    expect(kept?.reason).toContain(`git -C ${path} status`);
    expect(await readFile(join(path, "work.txt"), "utf8")).toBe("hours of it\n");
    await git(path, "add", "-A");
    await git(path, "commit", "-qm", "work");
    expect(itemNamed(await h.gc(), path)?.reason).toContain("1 commit that no remote");
    await git(h.repo, "branch", "saved", "agent-15");
    expect(itemNamed(await h.gc(), path)).toMatchObject({ action: "removed" });
    expect(await git(h.repo, "worktree", "list")).not.toContain("agent-15");
    expect(await h.gc()).toEqual([]);
  });

  test("whose checkout was killed goes: nobody can have worked in it", async () => {
    const path = join(h.trees, "agent-16");
    await git(h.repo, "worktree", "add", "--no-checkout", "--quiet", "-b", "agent-16", path);
    const stamp = { machine: h.machine, id: 16, state: "checking-out" };
    await writeFile(join(h.repo, ".git", "worktrees", "agent-16", "agent-harness.json"), JSON.stringify(stamp));
    await git(path, "checkout", "HEAD", "--", "schema.sql");
    expect(itemsOf(await h.gc(), 16)).toEqual(["removed worktree"]);
    expect(await git(h.repo, "worktree", "list")).not.toContain("agent-16");
    await git(h.repo, "branch", "-D", "agent-16");
  });

  test("whose files are gone leaves no record with git, unless a commit has no branch", async () => {
    await h.ok(h.repo, "launch", "16", "--worktree");
    const path = join(h.trees, "agent-16");
    await h.forget(16);
    await rm(path, { recursive: true });
    await git(h.repo, "worktree", "lock", path);
    const name = `git's record of ${path}`;
    expect(itemNamed(await h.gc(), name)).toMatchObject({ action: "kept", reason: expect.stringContaining("unlock") });
    await git(h.repo, "worktree", "unlock", path);
    expect(itemNamed(await h.gc(), name)).toMatchObject({ action: "removed" });
    expect(await git(h.repo, "worktree", "list")).not.toContain("agent-16");
  });
});

describe("what is not ours", () => {
  test("survives, whatever its name", async () => {
    await h.ok(h.repo, "launch", "17");
    const buckets = openBuckets((await h.infra()).s3);
    const other = { machine: "another", kind: "agent", id: 18 };
    await h.run(
      "create database agent_18",
      "create database agent_19",
      commentOn("agent_19", { ...other, id: 19 }),
      "create database ah_trash_0a1b2c3d4e5f",
      "create database ah_pool_0a1b2c3d4e5f_0a1b2c3d",
      commentOn("ah_pool_0a1b2c3d4e5f_0a1b2c3d", { machine: "another", kind: "pool", fingerprint: "0a1b2c3d4e5f" }),
      "create database ah_build_mine",
      "create database ah_future_1",
      commentOn("ah_future_1", { machine: h.machine, kind: "of a later version", id: 18 }),
    );
    await buckets.ensure("agent-18", other);
    await buckets.ensure("agent-19", { machine: h.machine, kind: "shared" });
    const files = {
      ".env.agent.18": "A=1\n",
      "CLAUDE.agent.19.md": "<!-- Written by agent-harness for agent 19 (small; harness another). -->\n",
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(h.repo, name), text);
    const unsure = join(h.repo, "ecosystem.agent.19.config.cjs");
    await writeFile(unsure, "// Written by agent-harness for agent 19 (small). Changes are lost at the next launch.\n");
    await mkdir(join(h.paths.stacks, "mine"));
    await mkdir(join(h.trees, "agent-18"), { recursive: true });
    const pid = startEscaped(stackMark("another", 18));
    try {
      const before = await h.everything(17);
      const items = await h.gc();
      expect(items).toEqual([expect.objectContaining({ name: unsure, action: "kept", owner: 19 })]);
      // It took the lock of 19, and that is all.
      expect({ ...(await h.everything(17)), locks: before["locks"] }).toEqual(before);
      expect(isAlive(pid)).toBe(true);
    } finally {
      process.kill(pid, "SIGKILL");
      for (const name of [...Object.keys(files), "ecosystem.agent.19.config.cjs"]) await rm(join(h.repo, name));
      for (const name of ["agent-18", "agent-19"]) await buckets.remove(name);
      const mine = (await h.databases()).filter((one) =>
        /^(agent_1[89]|ah_trash_|ah_pool_0a|ah_build_|ah_future_)/.test(one),
      );
      await h.run(...mine.map((name) => `drop database ${name}`));
      await rm(join(h.paths.stacks, "mine"), { recursive: true });
      await rm(join(h.trees, "agent-18"), { recursive: true });
    }
    await h.ok(h.repo, "teardown", "17");
  });

  test("survives renamed: whoever renamed an agent's database wants to keep it", async () => {
    await h.ok(h.repo, "launch", "17");
    await h.run(
      "create database mine template template0",
      commentOn("mine", { machine: h.machine, kind: "agent", id: 18 }),
    );
    expect(await h.gc()).toEqual([
      expect.objectContaining({ kind: "database", name: "mine", owner: 18, action: "kept" }),
    ]);
    await h.run("drop database mine");
    await h.ok(h.repo, "teardown", "17");
  });
});
