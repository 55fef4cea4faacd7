import { afterAll, beforeAll, expect, test } from "vitest";
import { openSmall, type SmallHarness } from "../testing/small.ts";

/* What an interrupted DROP DATABASE leaves: a database with its name and our mark that nobody can connect to. */

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project();
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

/** Leaves the stack's database as a Postgres does that was killed after it had begun to drop it. */
async function breakDatabase(): Promise<void> {
  await h.ok(repo, "launch", "89");
  await h.sql("agent_89", "insert into notes (text) values ('written')");
  await h.sql("postgres", "update pg_database set datconnlimit = -2 where datname = 'agent_89'");
  await expect(h.sql("agent_89", "select 1")).rejects.toThrow(/invalid database/);
}

const rows = async () => (await h.sql("agent_89", "select text from notes order by id")).map((row) => row["text"]);

test.each(["launch", "reset"])("%s gives the stack a database that works", async (verb) => {
  await breakDatabase();
  await h.ok(repo, verb, "89");
  expect(await rows()).toEqual(["seed"]);
  expect(await h.ask(repo, "89", "health")).toMatchObject({ healthy: true });
});

test("restore puts the snapshot in its place", async () => {
  await h.ok(repo, "launch", "89");
  await h.ok(repo, "snapshot", "save", "89", "one");
  await breakDatabase();
  await h.ok(repo, "snapshot", "restore", "89", "one");
  expect(await rows()).toEqual(["seed"]);
  await h.ok(repo, "snapshot", "drop", "89", "one");
});

test("teardown takes it away, and keeps nothing of it", async () => {
  await breakDatabase();
  await h.ok(repo, "teardown", "89");
  expect(await h.left(89)).toEqual([]);
  expect(JSON.parse((await h.ok(repo, "snapshot", "list", "89", "--json")).stdout)).toEqual([]);
});

test("the pool gives no such clone away, and a template database is built anew", async () => {
  const breakTemplate = async (): Promise<void> => {
    await h.ok(repo, "setup");
    await h.sql(
      "postgres",
      "update pg_database set datconnlimit = -2, datistemplate = false where datname ~ '^ah_(tpl|pool)_'",
    );
    const [listed] = JSON.parse((await h.ok(repo, "template-db", "list", "--json")).stdout);
    expect(listed).toMatchObject({ broken: true });
  };
  await breakTemplate();
  await h.ok(repo, "setup");
  await h.ok(repo, "launch", "89");
  expect(await rows()).toEqual(["seed"]);
  await h.ok(repo, "teardown", "89", "--no-snapshot");
  await breakTemplate();
  await h.ok(repo, "gc");
  expect(await h.sql("postgres", "select 1 from pg_database where datname ~ '^ah_tpl_'")).toEqual([]);
});
