import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { maintenanceDatabase } from "../infra/databases.ts";
import { type PostgresServer, withSql } from "../infra/sql.ts";

/** The suite of the Postgres server, whatever runs it; `get` is asked in each test. */
export function postgresContract(get: () => PostgresServer): void {
  const name = (): string => `contract_${randomUUID().slice(0, 8)}`;
  const maintain = (text: string, values?: readonly unknown[]) =>
    withSql(get(), maintenanceDatabase, (sql) => sql.query(text, values));

  describe("postgres", () => {
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
  });
}
