import { randomBytes, randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { copyDatabase, dropDatabase, findDatabases, maintenanceDatabase } from "../infra/databases.ts";
import { type PostgresServer, type SqlResult, withSql } from "../infra/sql.ts";
import { dropTemplateDatabase, ensureTemplateDatabase } from "../infra/template-db.ts";
import { scratchDatabaseName } from "../shared/names.ts";
import { silent } from "../shared/progress.ts";

const machine = "contract";

type Maintain = (text: string, values?: readonly unknown[]) => Promise<SqlResult>;

const name = (): string => `contract_${randomUUID().slice(0, 8)}`;

/**
 * The suite of the Postgres server, whatever runs it; `get` is asked in each test. `vector` says whether the server is one
 * that brings pgvector.
 */
export function postgresContract(get: () => PostgresServer, { vector }: { vector: boolean }): void {
  const maintain: Maintain = (text, values) => withSql(get(), maintenanceDatabase, (sql) => sql.query(text, values));
  describe("postgres", () => {
    testStatements(get, maintain);
    testCopies(get, maintain);
    if (vector) testVector(get);
    else testNoVector(get);
  });
}

function testStatements(get: () => PostgresServer, maintain: Maintain): void {
  it("speaks SQL, and counts statements for each database", async () => {
    const database = name();
    await maintain(`CREATE DATABASE ${database} TEMPLATE template0`);
    try {
      await withSql(get(), database, async (sql) => {
        await sql.query("CREATE EXTENSION pg_stat_statements");
        await sql.query("CREATE TABLE notes (id serial PRIMARY KEY, text text)");
        await sql.query("INSERT INTO notes (text) VALUES ($1)", ["Grüße, 日本語 🙂 'quoted'"]);
        const { rows } = await sql.query("SELECT id, text FROM notes");
        expect(rows).toEqual([{ id: 1, text: "Grüße, 日本語 🙂 'quoted'" }]);
        const counted = await sql.query(
          `SELECT calls::int FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
              WHERE d.datname = current_database() AND s.query LIKE 'INSERT INTO notes%'`,
        );
        expect(counted.rows).toEqual([{ calls: 1 }]);
      });
    } finally {
      await maintain(`DROP DATABASE ${database} WITH (FORCE)`);
    }
  });

  it("has advisory locks that end with their session", async () => {
    const key = Math.floor(Math.random() * 2 ** 31);
    const taken = async (): Promise<unknown> =>
      (await maintain("SELECT pg_try_advisory_lock($1) AS mine", [key])).rows[0]?.["mine"];
    await withSql(get(), maintenanceDatabase, async (sql) => {
      await sql.query("SELECT pg_advisory_lock($1)", [key]);
      expect(await taken()).toBe(false);
    });
    expect(await taken()).toBe(true);
  });

  it("refuses wrong passwords without repeating them", async () => {
    const asked = withSql({ ...get(), password: "wrong-password" }, maintenanceDatabase, (sql) =>
      sql.query("SELECT 1"),
    );
    const error = await asked.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: "28P01" });
    expect(String(error)).not.toContain("wrong-password");
  });
}

function testCopies(get: () => PostgresServer, maintain: Maintain): void {
  it("copies a database, and the copies go separate ways", async () => {
    const [from, to] = [name(), name()];
    await maintain(`CREATE DATABASE ${from} TEMPLATE template0`);
    try {
      await withSql(get(), from, (sql) => sql.query("CREATE TABLE t (a int); INSERT INTO t VALUES (1)"));
      await maintain(`CREATE DATABASE ${to} TEMPLATE ${from}`);
      await withSql(get(), to, (sql) => sql.query("UPDATE t SET a = 2"));
      const read = async (database: string) => (await withSql(get(), database, (sql) => sql.query("TABLE t"))).rows;
      expect([await read(from), await read(to)]).toEqual([[{ a: 1 }], [{ a: 2 }]]);
    } finally {
      for (const database of [from, to]) await maintain(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    }
  });
}

/** A build of a template database that asks for pgvector, as a project does by `database.extensions: [vector]`. */
const wantVector = (server: PostgresServer, fingerprint: string) =>
  ensureTemplateDatabase({
    server,
    machine,
    fingerprint,
    logFile: join(tmpdir(), "never-written.log"),
    progress: silent,
    source: {
      project: "contract",
      repository: "/contract",
      folder: "/contract",
      inputs: [],
      steps: [],
      extensions: ["vector"],
      envFor: () => ({}),
      argvFor: () => [],
    },
  });

const isAvailable = async (server: PostgresServer): Promise<boolean> =>
  await withSql(server, maintenanceDatabase, async (sql) => {
    const { rows } = await sql.query("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'");
    return rows.length === 1;
  });

function testVector(get: () => PostgresServer): void {
  it("has vector: clones of a template database that asks for it find the nearest row", async () => {
    const server = get();
    expect(await isAvailable(server)).toBe(true);
    const fingerprint = randomBytes(32).toString("hex");
    const [template, clone] = [await wantVector(server, fingerprint), name()];
    try {
      await withSql(server, maintenanceDatabase, (sql) => copyDatabase(sql, template.name, clone, "wal_log"));
      await withSql(server, clone, async (sql) => {
        await sql.query(
          "CREATE TABLE places (name text, at vector(3)); INSERT INTO places VALUES ('far', '[9,9,9]'), ('near', '[1,2,4]')",
        );
        await sql.query("CREATE INDEX ON places USING hnsw (at vector_l2_ops)");
        const { rows } = await sql.query(
          "SELECT name, at <-> '[1,2,3]' AS distance FROM places ORDER BY at <-> '[1,2,3]'",
        );
        expect(rows[0]).toEqual({ name: "near", distance: 1 });
        expect(rows[1]?.["name"]).toBe("far");
      });
    } finally {
      await withSql(server, maintenanceDatabase, async (sql) => {
        await dropDatabase(sql, clone);
        await dropTemplateDatabase(sql, machine, fingerprint);
      });
    }
  });
}

function testNoVector(get: () => PostgresServer): void {
  it("has no vector, and a template database that asks for it is refused by our own error and leaves nothing", async () => {
    const server = get();
    expect(await isAvailable(server)).toBe(false);
    const fingerprint = randomBytes(32).toString("hex");
    await expect(wantVector(server, fingerprint)).rejects.toMatchObject({
      code: "EXTENSION_UNAVAILABLE",
      message: expect.stringContaining('does not have the extension "vector"'),
      hint: expect.stringContaining("infra.postgres.url"),
    });
    const scratch = scratchDatabaseName(fingerprint, "");
    expect(await withSql(server, maintenanceDatabase, (sql) => findDatabases(sql, scratch))).toEqual([]);
  });
}
