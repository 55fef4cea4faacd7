import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fillLock, lockOfBuild } from "../../infra/leftovers.ts";
import { withSql } from "../../infra/sql.ts";
import { commentOn, itemNamed, itemsOf, type OrphanHarness, openOrphans } from "../../testing/orphans.ts";
import { git, smallConfig } from "../../testing/small.ts";
import { reserve } from "../admission/reservations.ts";
import { whileUsing } from "../use.ts";

let h: OrphanHarness;

beforeAll(async () => {
  h = await openOrphans();
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

/** Works while this connection holds an advisory lock of the server. */
async function whileLocked<T>(lock: string, work: () => Promise<T>): Promise<T> {
  return await withSql((await h.infra()).postgres, "postgres", async (sql) => {
    await sql.query(`select ${lock}`);
    return await work();
  });
}

/** When an agent would have set a file aside, as its name has it. */
const daysAgo = (days: number): string =>
  new Date(Date.now() - days * 24 * 3600 * 1000).toISOString().replaceAll(/[:.]/g, "-");

describe("databases on their way", () => {
  const trash = "ah_trash_0123456789ab";
  const orphan = "ah_pool_0123456789ab_01234567";
  const halfMade = "ah_pool_ba9876543210_01234567";
  const scratch = "ah_build_0123456789ab_01234567";

  test("go when nobody will come back for them", async () => {
    const { machine } = h;
    await h.run(
      ...[trash, orphan, halfMade, scratch].map((name) => `create database ${name} template template0`),
      commentOn(trash, { machine, kind: "trash" }),
      commentOn(orphan, { machine, kind: "pool", fingerprint: "0123456789abcdef" }),
    );
    const before = await h.everything();
    const kinds = [
      ["trash-database", trash],
      ["pool-database", orphan],
      ["pool-database", halfMade],
      ["scratch-database", scratch],
    ];
    const plan = await h.gc("--dry-run");
    expect(plan.map(({ kind, name, action }) => [kind, name, action])).toEqual(
      kinds.map((one) => [...one, "would remove"]),
    );
    expect(await h.everything()).toEqual(before);
    // What somebody makes now is not seen as left over.
    await whileLocked(`pg_advisory_lock_shared(${fillLock}), pg_advisory_lock(${lockOfBuild(scratch)})`, async () => {
      const items = await h.gc();
      expect(itemNamed(items, trash)).toMatchObject({ action: "removed" });
      expect(itemNamed(items, orphan)).toMatchObject({ action: "skipped" });
      expect(await h.databases()).toEqual(expect.arrayContaining([orphan, halfMade, scratch]));
    });
    expect((await h.gc()).map((one) => one.name)).toEqual([orphan, halfMade, scratch]);
    expect((await h.databases()).filter((name) => /^ah_(?!tpl)/.test(name))).toEqual([]);
  });
});

describe("template databases", () => {
  const templates = async (): Promise<string[]> => (await h.databases()).filter((name) => name.startsWith("ah_tpl_"));
  const change = async (text: string): Promise<string> => {
    const before = await templates();
    await writeFile(join(h.repo, "schema.sql"), `CREATE TABLE notes (id serial, text text); -- ${text}\n`);
    await h.ok(h.repo, "setup");
    return (await templates()).find((name) => !before.includes(name)) ?? "";
  };

  test("that no stack uses go, but for the newest of each project and what this folder's files make", async () => {
    const [first = ""] = await templates();
    const schema = await readFile(join(h.repo, "schema.sql"), "utf8");
    await h.ok(h.repo, "launch", "11");
    const second = await change("two");
    const third = await change("three");
    const other = await h.project({
      "agent-harness.yml": smallConfig(),
      "schema.sql": "CREATE TABLE notes (id int);\n",
    });
    await h.ok(other, "setup");
    expect(await templates()).toHaveLength(4);
    expect((await h.gc()).map(({ name, action }) => [name, action])).toEqual([[second, "removed"]]);
    expect(await templates()).toEqual(expect.arrayContaining([first, third]));
    // Its clone is gone; its files would be cloned from the first again.
    await writeFile(join(h.repo, "schema.sql"), schema);
    await h.ok(h.repo, "teardown", "11");
    expect(await h.gc()).toEqual([]);
    const elsewhere = await h.harness(other, "gc", "--json");
    expect(JSON.parse(elsewhere.stdout)).toEqual([
      expect.objectContaining({ kind: "template-database", name: first, action: "removed" }),
    ]);
    expect(await templates()).toHaveLength(2);
  });

  test("stay while somebody is working on a stack, or builds it anew", async () => {
    const old = await change("four");
    const pool = `ah_pool_${old.slice(-12)}_01234567`;
    const newest = await change("five");
    expect(newest).not.toBe("");
    const stamp = await h.sql(
      "postgres",
      `select shobj_description(oid, 'pg_database') as c from pg_database where datname = '${old}'`,
    );
    const { fingerprint } = JSON.parse(String(stamp[0]?.["c"]));
    await h.run(
      `create database ${pool} template template0`,
      commentOn(pool, { machine: h.machine, kind: "pool", fingerprint }),
    );
    const lock = "pg_advisory_lock(hashtext('agent-harness build ";
    await whileLocked(`${lock}${old}'))`, async () => {
      expect(itemNamed(await h.gc(), old)).toMatchObject({ action: "skipped" });
    });
    const holder = await h.holdStack(14);
    expect(itemNamed(await h.gc(), old)).toMatchObject({
      action: "skipped",
      reason: expect.stringContaining(`Process ${holder.pid} is busy`),
    });
    await holder.end();
    await using reservation = await reserve(h.paths, 15, 1);
    expect(itemNamed(await h.gc(), old)?.reason).toContain("launch of agent 15");
    await reservation[Symbol.asyncDispose]();
    expect(itemNamed(await h.gc(), old)).toMatchObject({ action: "removed" });
    expect(await h.databases()).not.toContain(pool);
  });

  test("of a project whose config cannot be read now stay", async () => {
    const old = await change("six");
    await h.ok(h.repo, "launch", "12");
    await change("seven");
    await change("eight");
    const config = await readFile(join(h.repo, "agent-harness.yml"), "utf8");
    await writeFile(join(h.repo, "agent-harness.yml"), "nonsense: [");
    const { stdout, exitCode } = await h.harness(h.home, "gc", "--json");
    await writeFile(join(h.repo, "agent-harness.yml"), config);
    expect([exitCode, JSON.parse(stdout)]).toEqual([0, []]);
    expect((await h.gc()).filter((one) => one.kind === "template-database")).toHaveLength(2);
    expect(await templates()).toContain(old);
    await h.ok(h.repo, "teardown", "12");
  });
});

describe("folders and files", () => {
  test("a stack's folder without a ledger goes, unless a command that runs works with it", async () => {
    const folder = join(h.paths.stacks, "17");
    await mkdir(join(folder, "logs"), { recursive: true });
    await whileUsing(h.paths, 17, async () => {
      for (const argv of [["--dry-run"], []]) {
        expect(itemsOf(await h.gc(...argv), 17)).toEqual(["skipped stack-folder"]);
      }
    });
    expect(itemsOf(await h.gc(), 17)).toEqual(["removed stack-folder"]);
    expect(await h.gc()).toEqual([]);
  });

  test("a ledger kept aside holds what is there of its stack for 30 days, and goes then", async () => {
    await h.ok(h.repo, "launch", "19");
    const folder = join(h.paths.stacks, "19");
    await h.forget(19);
    await mkdir(folder);
    const aside = join(folder, `ledger.json.corrupt-${daysAgo(29)}`);
    await writeFile(aside, "{");
    const kept = await h.gc();
    expect(new Set(kept.map((one) => one.action))).toEqual(new Set(["kept"]));
    expect(kept[0]?.reason).toContain(aside);
    expect(await h.pids(19)).toHaveProperty("agent-19-api");
    await rm(aside);
    await writeFile(join(folder, `ledger.json.corrupt-${daysAgo(31)}`), "{");
    await writeFile(`${h.paths.registry}.corrupt-${daysAgo(31)}`, "{");
    await writeFile(`${h.paths.registry}.corrupt-${daysAgo(2)}`, "{");
    const items = await h.gc();
    expect(new Set(items.map((one) => one.action))).toEqual(new Set(["removed"]));
    expect(items.filter((one) => one.kind === "kept-aside")).toHaveLength(2);
    expect(await h.left(19)).toEqual([]);
    expect(await h.gc()).toEqual([]);
  });

  test("the trash of discarded worktrees is emptied, nothing beside it", async () => {
    const trash = join(h.trees, ".agent-harness-trash");
    await mkdir(join(trash, "agent-12-0a1b2c3d", "src"), { recursive: true });
    await mkdir(join(h.trees, "mine"), { recursive: true });
    expect(await h.gc("--dry-run")).toEqual([
      expect.objectContaining({ kind: "worktree-trash", name: trash, action: "would remove" }),
    ]);
    expect(await h.gc()).toEqual([expect.objectContaining({ name: trash, action: "removed" })]);
    expect(await git(h.repo, "worktree", "list")).not.toContain("agent-");
    await rm(join(h.trees, "mine"), { recursive: true });
  });
});
