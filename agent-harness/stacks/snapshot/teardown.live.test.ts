import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, killedWhile } from "../../testing/crash.ts";
import { objectsIn } from "../../testing/objects.ts";
import { openS3Client } from "../../testing/s3-client.ts";
import { openSmall, type SmallHarness, smallConfig } from "../../testing/small.ts";
import { until } from "../../testing/until.ts";

let h: SmallHarness;
let repo: string;
let s3: Client;

const afterClone = "    - sql: INSERT INTO notes (text) VALUES ('after')";

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project({ "agent-harness.yml": smallConfig({ afterClone }) });
  await h.ok(repo, "setup");
  s3 = openS3Client((await h.infra()).s3);
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const config = (rest: string) => writeFile(join(repo, "agent-harness.yml"), smallConfig({ afterClone, rest }));
const notes = async (id: number) =>
  (await h.sql(`agent_${id}`, "select text from notes order by id")).map((row) => row["text"]);
const write = (id: number, text: string) => h.sql(`agent_${id}`, `insert into notes (text) values ('${text}')`);
const teardown = async (id: number, ...flags: string[]) =>
  JSON.parse((await h.ok(repo, "teardown", String(id), ...flags, "--json")).stdout) as {
    removed: string[];
    kept: string[];
  };
const wouldKeep = async (id: number) => (await teardown(id, "--dry-run")).kept.length > 0;
const list = async (id: number) =>
  JSON.parse((await h.ok(repo, "snapshot", "list", String(id), "--json")).stdout) as {
    name: string;
    createdAt: string;
    expiresAt: string;
    objects: number;
  }[];
const traces = async () => [
  ...(await h.sql("postgres", "select datname from pg_database where datname ~ '^ah_(snap|copy)_' order by 1")).map(
    (row) => row["datname"],
  ),
  ...(await s3.listBuckets()).map((one) => one.name).filter((name) => name.includes("-snap-")),
];
/** Old databases are dropped behind the launch that put them away. */
const noTrash = () =>
  until("the trash is emptied", async () => {
    const rows = await h.sql("postgres", "select 1 from pg_database where starts_with(datname, 'ah_trash_')");
    return rows.length === 0;
  });
const kept = (id: number) => [`the snapshot before-teardown of agent ${id}`];

test("what a stack wrote is kept by its teardown, told of by the next launch, and restored", async () => {
  await h.ok(repo, "launch", "21");
  await write(21, "mine");
  await s3.putObject("agent-21", "a/b", "mine");
  expect((await teardown(21, "--dry-run")).kept).toEqual(kept(21));
  const { removed, kept: stays } = await teardown(21);
  expect(stays).toEqual(kept(21));
  expect(removed).toContain("the database agent_21");
  expect(await h.left(21)).toEqual([]);
  const [one] = await list(21);
  expect(one).toMatchObject({ name: "before-teardown", objects: 1 });
  expect(Date.parse(one?.expiresAt ?? "") - Date.parse(one?.createdAt ?? "")).toBeCloseTo(7 * 86_400_000, -4);
  const { stderr } = await h.ok(repo, "launch", "21");
  expect(stderr).toMatch(/teardown .* can be had back: agent-harness snapshot restore 21 before-teardown/);
  // Only a fresh stack is told.
  expect((await h.ok(repo, "launch", "21")).stderr).not.toContain("can be had back");
  await h.ok(repo, "snapshot", "restore", "21", "before-teardown");
  expect(await notes(21)).toEqual(["seed", "after", "mine"]);
  expect(await objectsIn(s3, "agent-21")).toMatchObject({ "a/b": { text: "mine" } });
});

test("one is kept an agent: the next teardown replaces it, of a restored database too", async () => {
  await s3.removeObject("agent-21", "a/b");
  expect((await h.ok(repo, "teardown", "21")).stdout).toContain("Kept: the snapshot before-teardown of agent 21");
  expect(await traces()).toEqual(["ah_snap_21_before_teardown"]);
  expect(await list(21)).toMatchObject([{ objects: 0 }]);
});

test("a stack that has written nothing leaves the earlier one alone; so does --no-snapshot", async () => {
  await h.ok(repo, "launch", "21");
  expect((await teardown(21)).kept).toEqual([]);
  await h.ok(repo, "launch", "21");
  await write(21, "lost");
  expect((await teardown(21, "--no-snapshot", "--dry-run")).kept).toEqual([]);
  expect((await teardown(21, "--no-snapshot")).kept).toEqual([]);
  expect(await traces()).toEqual(["ah_snap_21_before_teardown"]);
  await h.ok(repo, "launch", "21");
  await h.ok(repo, "snapshot", "restore", "21", "before-teardown");
  expect(await notes(21)).toEqual(["seed", "after", "mine"]);
  await h.ok(repo, "teardown", "21", "--no-snapshot");
});

test("the config can forbid it; a config that is broken forbids nothing", async () => {
  await h.ok(repo, "launch", "22");
  await write(22, "mine");
  await config("snapshots: { beforeTeardown: false }");
  expect(await wouldKeep(22)).toBe(false);
  await config("snapshots: { beforeTeardown: perhaps }");
  expect(await wouldKeep(22)).toBe(true);
  await config("snapshots: { beforeTeardown: false }");
  await h.ok(repo, "teardown-all");
  expect(await list(22)).toEqual([]);
  await config("snapshots: { keepDays: 30 }");
  await h.ok(repo, "launch", "22");
  await write(22, "mine");
  await h.ok(repo, "teardown-all");
  const [one] = await list(22);
  expect(Date.parse(one?.expiresAt ?? "") - Date.parse(one?.createdAt ?? "")).toBeCloseTo(30 * 86_400_000, -4);
  await config("");
});

test.each(["teardown", "setup"])("a %s drops those whose time is over, and no others", async (verb) => {
  await h.ok(repo, "launch", "23");
  await write(23, "mine");
  await h.ok(repo, "snapshot", "save", "23", "stays", "--force");
  await s3.putObject("agent-23", "k", "x");
  await h.ok(repo, "teardown", "23");
  expect((await list(23)).map((one) => one.name)).toEqual(["before-teardown", "stays"]);
  await h.sql(
    "postgres",
    `do $$ begin execute format('comment on database ah_snap_23_before_teardown is %L',
       jsonb_set(shobj_description((select oid from pg_database where datname = 'ah_snap_23_before_teardown'),
         'pg_database')::jsonb, '{expiresAt}', '"2026-01-01T00:00:00.000Z"')); end $$`,
  );
  await h.ok(repo, "launch", "24");
  await h.ok(repo, verb, ...(verb === "teardown" ? ["24"] : []));
  expect((await list(23)).map((one) => one.name)).toEqual(["stays"]);
  expect((await traces()).filter((name) => /23/.test(String(name)))).toEqual(["ah_snap_23_stays"]);
  expect(await list(22)).toHaveLength(1);
});

describe("what counts as written", () => {
  test.each([
    ["an update", "update notes set text = 'x'"],
    ["a delete", "delete from notes"],
    ["a truncate", "truncate notes"],
    ["a table", "create table more (id int)"],
    ["a column", "alter table notes add more int"],
    ["a dropped table", "drop table notes"],
    ["a grant", "grant select on notes to public"],
    ["a copy of rows", "insert into notes (text) select text from notes"],
    ["a large object", "select lo_from_bytea(0, 'x')"],
  ])("%s", async (_, query) => {
    await h.ok(repo, "launch", "25");
    expect(await wouldKeep(25)).toBe(false);
    await h.sql("agent_25", query);
    await until("it counts", () => wouldKeep(25));
    await h.ok(repo, "teardown", "25", "--no-snapshot");
  });

  test("not what is only read", async () => {
    await h.ok(repo, "launch", "25");
    await h.sql("agent_25", "select * from notes; begin; select count(*) from notes; commit; explain select 1");
    expect((await teardown(25)).kept).toEqual([]);
  });

  test("an object alone", async () => {
    await h.ok(repo, "launch", "25");
    await s3.putObject("agent-25", "k", "x");
    expect((await teardown(25)).kept).toEqual(kept(25));
    await h.ok(repo, "snapshot", "drop", "25", "before-teardown");
  });

  test("a database of which the server has forgotten, by a crash, what was written", async () => {
    await h.ok(repo, "launch", "25");
    await write(25, "mine");
    const asleep = h.sql("agent_25", "select pg_sleep(60)").catch((error: Error) => error.message);
    const pid = await until("a session sleeps", async () => {
      const query = "select pid from pg_stat_activity where query = 'select pg_sleep(60)'";
      return (await h.sql("postgres", query))[0]?.["pid"];
    });
    process.kill(Number(pid), "SIGKILL");
    expect(await asleep).toBeTruthy();
    await until("the server is back", () => h.sql("postgres", "select 1").catch(() => undefined));
    const count = "select pg_stat_get_db_tuples_inserted(oid)::int as n from pg_database where datname = 'agent_25'";
    expect(await h.sql("postgres", count)).toEqual([{ n: 0 }]);
    expect((await teardown(25)).kept).toEqual(kept(25));
    await h.ok(repo, "snapshot", "drop", "25", "before-teardown");
  });
});

test("a teardown that cannot keep the data does not lose it, and says how to", async () => {
  await h.ok(repo, "launch", "26");
  await write(26, "mine");
  await h.sql("postgres", "create database ah_snap_26_before_teardown");
  const error = await h.refused(repo, "teardown", "26");
  expect(error).toMatchObject({ exitCode: 1, code: "SURVIVORS", message: expect.stringContaining("--no-snapshot") });
  expect(error.message).toContain("ah_snap_26_before_teardown");
  expect(await notes(26)).toEqual(["seed", "after", "mine"]);
  await h.sql("postgres", "drop database ah_snap_26_before_teardown");
  expect((await teardown(26)).kept).toEqual(kept(26));
  expect(await h.left(26)).toEqual([]);
  await h.ok(repo, "snapshot", "drop", "26", "before-teardown");
});

describe.each(["processes", "snapshot", "bucket"])("a teardown killed at %s", (step) => {
  test.each(["start", "done"] as const)("(its %s) loses nothing, whatever comes next", async (event) => {
    const prepared = async (id: number): Promise<void> => {
      await h.ok(repo, "launch", String(id));
      await write(id, "mine");
      await s3.putObject(`agent-${id}`, "k", "mine");
      await killedWhile(h, { verb: "teardown", repo, id }, step, event);
    };
    const whole = async (id: number): Promise<void> => {
      await h.ok(repo, "snapshot", "restore", String(id), "before-teardown");
      expect(await notes(id)).toEqual(["seed", "after", "mine"]);
      expect(await objectsIn(s3, `agent-${id}`)).toMatchObject({ k: { text: "mine" } });
      await h.ok(repo, "teardown", String(id), "--no-snapshot");
      await h.ok(repo, "snapshot", "drop", String(id), "before-teardown");
    };
    const again = async (id: number): Promise<void> => {
      await prepared(id);
      await h.ok(repo, "teardown", String(id));
      expect(await h.left(id)).toEqual([]);
      expect(await list(id)).toHaveLength(1);
      await h.ok(repo, "launch", String(id));
      await whole(id);
    };
    const over = async (id: number): Promise<void> => {
      await prepared(id);
      await h.ok(repo, "launch", String(id));
      expect(await h.ask(repo, String(id), "health")).toMatchObject({ healthy: true });
      const isKept = (await list(id)).length === 1;
      // Either all of it is where it was, or all of it is kept and the stack begins anew.
      expect(await notes(id)).toEqual(isKept ? ["seed", "after"] : ["seed", "after", "mine"]);
      expect(Object.keys(await objectsIn(s3, `agent-${id}`))).toEqual(isKept ? [] : ["k"]);
      if (!isKept) await h.ok(repo, "teardown", String(id));
      if (!isKept) await h.ok(repo, "launch", String(id));
      await whole(id);
    };
    await Promise.all([again(27), over(28)]);
    expect((await traces()).filter((name) => /2[78]/.test(String(name)))).toEqual([]);
  });
});

test("at the end nothing is left but what list shows", async () => {
  await h.ok(repo, "teardown-all", "--everywhere", "--no-snapshot");
  await noTrash();
  expect(await traces()).toEqual(["ah_snap_21_before_teardown", "ah_snap_22_before_teardown", "ah_snap_23_stays"]);
});
