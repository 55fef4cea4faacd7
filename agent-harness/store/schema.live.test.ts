import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { refused } from "../testing/config-folder.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";
import { migrations } from "./migrations/index.ts";
import { openPool, type Pool } from "./pool.ts";
import { ensureDatabase, migrate } from "./schema.ts";

let postgres: TestPostgres;
let here: TestStore;
beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  here = await openTestStore(postgres);
});
afterEach(() => here[Symbol.asyncDispose]());

const applied = async (): Promise<unknown[]> => {
  const { rows } = await here.sql("SELECT number, name FROM harness.migrations ORDER BY number");
  return rows.map(({ number, name }) => [number, name]);
};
const all = migrations.map(({ name }, at) => [at + 1, name]);

/** A pool on the test's database, closed after the work. */
async function withPool<T>(work: (pool: Pool) => Promise<T>): Promise<T> {
  await ensureDatabase(here.options);
  const pool = openPool(here.options, 4);
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}

test("eight daemons that start at once make the database and apply each step once", async () => {
  const stores = await Promise.all(Array.from({ length: 8 }, () => here.open()));
  expect(await applied()).toEqual(all);
  const made = await Promise.all(stores.map((store) => store.events.append([{ type: "x", project: "p", data: {} }])));
  expect(made.flatMap((events) => events.map(({ id }) => id)).toSorted((a, b) => a - b)).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8,
  ]);
});

test("an older schema is brought up, with what is in it", async () => {
  await withPool(async (pool) => {
    expect(await migrate(pool, here.options, migrations.slice(0, 1))).toEqual({ from: 0, to: 1 });
    await pool.query("UPDATE harness.event_log SET last_id = 41");
    expect(await migrate(pool, here.options)).toEqual({ from: 1, to: migrations.length });
    expect(await migrate(pool, here.options)).toEqual({ from: migrations.length, to: migrations.length });
  });
  expect(await applied()).toEqual(all);
  expect(await (await here.open()).events.head()).toBe(41);
});

test("sessions of an older schema know their first event, and keys which session they are for", async () => {
  await withPool(async (pool) => {
    await migrate(pool, here.options, migrations.slice(0, 5));
    await pool.query(
      `INSERT INTO harness.projects (name, cwd) VALUES ('p', '/');
       INSERT INTO harness.sessions (id, project, provider, run_in, status, task, cwd, attach_command, journal)
       VALUES ('a', 'p', 'pi', 'tmux', 'idle', 't', '/', '', '');
       INSERT INTO harness.events (id, at, type, project, agent_id, data)
       VALUES (1, now(), 'agent_started', 'p', 'a', '{}'), (2, now(), 'agent_deleted', 'p', 'a', '{}'),
              (3, now(), 'agent_started', 'p', 'a', '{}'), (4, now(), 'output', 'p', 'a', '{}');
       INSERT INTO harness.idempotency (scope, key, request, result)
       VALUES ('create p', 'k', '', '{"id":"a"}'), ('input a', 'k', '', 'true'), ('create p', 'old', '', '{"id":"b"}')`,
    );
    await migrate(pool, here.options);
  });
  const store = await here.open();
  expect(await store.sessions.find("a")).toMatchObject({ firstEventId: 3 });
  const { rows } = await here.sql("SELECT scope, key, session_id FROM harness.idempotency ORDER BY scope");
  expect(rows).toEqual([
    { scope: "create p", key: "k", session_id: "a" },
    { scope: "input a", key: "k", session_id: "a" },
  ]);
});

test("a step that fails leaves nothing of itself, nor of those before it in the same run", async () => {
  await withPool(async (pool) => {
    await migrate(pool, here.options, migrations.slice(0, 1));
    const broken = [...migrations.slice(0, 2), { name: "broken", sql: "CREATE TABLE harness.x (); SELECT 1 / 0" }];
    await expect(migrate(pool, here.options, broken)).rejects.toMatchObject({ code: "22012" });
  });
  expect(await applied()).toEqual(all.slice(0, 1));
  await here.open();
  expect(await applied()).toEqual(all);
});

test("a newer schema is refused and left as it is", async () => {
  await here.open();
  await here.sql("INSERT INTO harness.migrations (number, name) VALUES (99, 'from the future')");
  const error = await refused(here.open());
  expect(error).toMatchObject({ code: "STORE_NEWER", kind: "config", leftBehind: "the store, as it was" });
  expect(error.message).toBe(
    `The store, database ${here.options.database} of Postgres at 127.0.0.1:${postgres.server.port}, has schema 99; ` +
      `this agent-harness knows ${migrations.length}.`,
  );
  expect(error.hint).toContain("Run the newer agent-harness that made it");
  expect(await applied()).toEqual([...all, [99, "from the future"]]);
});
