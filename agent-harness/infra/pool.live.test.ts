import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { poolPrefix } from "../shared/names.ts";
import { silent } from "../shared/progress.ts";
import { writeProject } from "../testing/harness.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { until } from "../testing/until.ts";
import { emptyTrash, findDatabase, maintenanceDatabase, stampStatement, trashDatabase } from "./databases.ts";
import { fingerprintOf, type TemplateSource } from "./fingerprint.ts";
import { claimDatabase, readyCount, refillPool } from "./pool.ts";
import { type Sql, withSql } from "./sql.ts";
import { dropTemplateDatabase, ensureTemplateDatabase } from "./template-db.ts";

const machine = "pool-test";
let postgres: TestPostgres;
let folder: string;
let fingerprint: string;

beforeAll(async () => {
  postgres = await openTestPostgres();
  folder = await writeProject();
  await buildTemplate();
});
afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const prefix of ["ah_pool_", "ah_trash_", "taken_"]) {
    for (const name of await postgres.names(prefix)) await onServer(`DROP DATABASE ${name} WITH (FORCE)`);
  }
});

async function buildTemplate(): Promise<void> {
  const { host, port, user, password } = postgres.server;
  const envFor = (database: string) => ({
    PATH: process.env["PATH"] ?? "",
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
  });
  const source: TemplateSource = {
    project: "pool",
    repository: folder,
    folder,
    inputs: ["*.sql"],
    steps: [{ words: ["node", "build.mjs"], cwd: folder }],
    extensions: [],
    envFor,
    argvFor: ({ words }) => words,
  };
  fingerprint = await fingerprintOf(source, 18);
  const logFile = join(folder, "build.log");
  await ensureTemplateDatabase({ server: postgres.server, machine, source, fingerprint, logFile, progress: silent });
}

const inServer = <T>(work: (sql: Sql) => Promise<T>): Promise<T> => withSql(postgres.server, maintenanceDatabase, work);
const onServer = (text: string) => postgres.sql(maintenanceDatabase, text);

const refill = (size: number) => refillPool(postgres.server, { machine, fingerprint, strategy: "wal_log", size });
const claim = (name: string) =>
  claimDatabase(postgres.server, { machine, fingerprint, strategy: "wal_log", name, stamp: { id: 50 } });
const ready = (): Promise<number> => inServer((sql) => readyCount(sql, fingerprint, machine));
const claimed = (): Promise<string[]> => postgres.names("taken_");
const numbers = [1, 2, 3, 4, 5];

describe("five claims at once", () => {
  it.each([
    { pool: 5, warm: 5 },
    { pool: 2, warm: 2 },
    { pool: 0, warm: 0 },
  ])("get five databases from a pool of $pool", async ({ pool, warm }) => {
    await refill(pool);
    const claims = await Promise.all(numbers.map((number) => claim(`taken_${number}`)));
    expect(new Set(claims.map((one) => one.oid)).size).toBe(5);
    // A claim that makes its own clone may find that of another first.
    expect(claims.filter((one) => one.warm).length).toBeGreaterThanOrEqual(warm);
    expect(await claimed()).toEqual(numbers.map((number) => `taken_${number}`));
    for (const name of await claimed()) {
      expect((await postgres.sql(name, "SELECT text FROM notes")).rows).toEqual([{ text: "seed" }]);
      const found = await inServer((sql) => findDatabase(sql, name));
      expect(found?.stamp).toMatchObject({ machine, kind: "agent", id: 50, fingerprint });
    }
    expect(await ready()).toBe(0);
  });
});

describe("a claim", () => {
  it("never takes a database that has the wanted name already", async () => {
    await refill(1);
    await onServer("CREATE DATABASE taken_foreign");
    const before = await inServer((sql) => findDatabase(sql, "taken_foreign"));
    await expect(claim("taken_foreign")).rejects.toMatchObject({ code: "NAME_FOREIGN" });
    expect(await inServer((sql) => findDatabase(sql, "taken_foreign"))).toEqual(before);
    expect(await ready()).toBe(1);
  });

  it("refuses a name that Postgres would cut", async () => {
    await refill(1);
    await expect(claim(`taken_${"x".repeat(60)}`)).rejects.toThrow("63 bytes");
    expect(await claimed()).toEqual([]);
    expect(await ready()).toBe(1);
  });

  it("passes over clones that are half made, or another machine's, or nobody's", async () => {
    const prefix = poolPrefix(fingerprint);
    for (const name of [`${prefix}00000000`, `${prefix}11111111`, `${prefix}mine`]) {
      await onServer(`CREATE DATABASE ${name} TEMPLATE template0`);
    }
    await onServer(stampStatement(`${prefix}11111111`, { machine: "another", kind: "pool", fingerprint }));
    await onServer(`COMMENT ON DATABASE ${prefix}mine IS 'my own notes'`);
    expect(await ready()).toBe(0);
    expect(await claim("taken_1")).toMatchObject({ warm: false });
    expect((await postgres.sql("taken_1", "SELECT text FROM notes")).rows).toHaveLength(1);
    await refill(1);
    const left = await postgres.names("ah_pool_");
    expect(left).toHaveLength(3);
    expect(left).toEqual(expect.arrayContaining([`${prefix}11111111`, `${prefix}mine`]));
  });

  it("without a template database says what to run", async () => {
    const options = { machine, fingerprint: "0".repeat(64), strategy: "wal_log", name: "taken_1", stamp: {} } as const;
    await expect(claimDatabase(postgres.server, options)).rejects.toMatchObject({
      code: "TEMPLATE_DATABASE_NOT_FOUND",
      hint: "Run: agent-harness setup",
    });
  });
});

describe("a refill", () => {
  it("fills the pool to its size, and two at once do not fill it over", async () => {
    const [one, two] = await Promise.all([refill(3), refill(3)]);
    expect(one.made + two.made).toBe(3);
    expect(await ready()).toBe(3);
    await claim("taken_1");
    expect(await refill(3)).toMatchObject({ made: 1 });
    expect(await refill(2)).toMatchObject({ made: 0 });
  });

  it("empties our trash only, whoever was connected before", async () => {
    await claim("taken_1");
    await onServer("CREATE DATABASE ah_trash_foreign");
    let ended = false;
    const session = postgres.sql("taken_1", "SELECT pg_sleep(60)").catch(() => {
      ended = true;
    });
    const sleeping = "SELECT 1 FROM pg_stat_activity WHERE datname = 'taken_1' AND query LIKE '%pg_sleep%'";
    await until("the session", async () => (await onServer(sleeping)).rows.length > 0);
    const start = performance.now();
    const name = await inServer((sql) => trashDatabase(sql, "taken_1", machine));
    expect(performance.now() - start).toBeLessThan(3000);
    await session;
    expect(ended).toBe(true);
    expect(await emptyTrash(postgres.server, "another machine")).toEqual([]);
    expect((await refill(0)).dropped).toEqual([name]);
    expect(await postgres.names("ah_trash_")).toEqual(["ah_trash_foreign"]);
  });
});

/** Kills a backend that is at this kind of work: the server then ends all of them and recovers, as after a power cut. */
async function crashDuring(work: string): Promise<void> {
  const pids = `SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'active' AND ${work}`;
  await until("a claim at work", async () => {
    const pid = Number((await onServer(pids)).rows[0]?.["pid"]);
    try {
      return pid > 0 && process.kill(pid, "SIGKILL");
    } catch {
      // It ended just before; the next one then.
      return false;
    }
  });
}

describe("a crash of Postgres in the middle of claims", () => {
  it.each([
    { what: "the lock is waited for", pool: 3, work: "query LIKE 'SELECT pg_advisory_xact_lock%'" },
    { what: "clones are made", pool: 0, work: "query LIKE 'CREATE DATABASE%'" },
  ])("while $what is said to be one, loses nothing, and the next claims work", async ({ pool, work }) => {
    await refill(pool);
    const lock = "SELECT pg_advisory_lock(hashtext('agent-harness claim')), pg_sleep(60)";
    const holder = pool === 0 ? undefined : onServer(lock).catch(() => undefined);
    const held = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    if (holder !== undefined) await until("the lock", async () => (await onServer(held)).rows.length > 0);
    const claims = Promise.allSettled(numbers.map((number) => claim(`taken_${number}`)));
    await crashDuring(work);
    const ends = await claims;
    await holder;
    const lost = ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
    expect(lost.length).toBeGreaterThan(0);
    for (const error of lost) expect(error).toMatchObject({ code: "POSTGRES_UNAVAILABLE", hint: expect.any(String) });
    await until("recovery", () => onServer("SELECT 1").catch(() => false as const));
    for (const name of await claimed()) {
      // What has the name has the mark and the data, both or neither.
      expect((await inServer((sql) => findDatabase(sql, name)))?.stamp).toMatchObject({ machine, kind: "agent" });
      expect((await postgres.sql(name, "SELECT text FROM notes")).rows).toHaveLength(1);
    }
    if (pool > 0) expect(await ready()).toBe(pool);
    await Promise.all(numbers.map((number) => claim(`taken_again_${number}`)));
    await refill(1);
    expect(await ready()).toBeGreaterThanOrEqual(1);
    const unmarked = (await postgres.names("ah_pool_")).length - (await ready());
    expect(unmarked).toBe(0);
  });

  it("is Postgres not answering while it is down", async () => {
    await postgres.stop();
    await expect(claim("taken_1")).rejects.toMatchObject({
      code: "POSTGRES_UNAVAILABLE",
      hint: "Run: agent-harness infra up",
    });
    await postgres.start();
    expect(await claim("taken_1")).toMatchObject({ warm: expect.any(Boolean) });
  });
});

describe("a pool whose template database is gone", () => {
  it("is dropped by the next refill of another", async () => {
    await refill(2);
    const template = fingerprint;
    await inServer((sql) => dropTemplateDatabase(sql, "nobody", template));
    expect(await ready()).toBe(2);
    const name = `ah_tpl_${template.slice(0, 12)}`;
    await onServer(`ALTER DATABASE ${name} IS_TEMPLATE false`);
    await onServer(`DROP DATABASE ${name}`);
    const { dropped } = await refillPool(postgres.server, {
      machine,
      fingerprint: "f".repeat(64),
      strategy: "wal_log",
      size: 0,
    });
    expect(dropped).toHaveLength(2);
    expect(await postgres.names("ah_pool_")).toEqual([]);
    await buildTemplate();
  });
});
