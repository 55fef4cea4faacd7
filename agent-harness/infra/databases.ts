import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { errorNumber, HarnessError } from "../shared/errors.ts";
import { trashDatabaseName } from "../shared/names.ts";
import { type PostgresServer, type Sql, sqlName, sqlText, withSql } from "./sql.ts";

/** The database in which statements about other databases run; always there, never cloned. */
export const maintenanceDatabase = "postgres";

/** How the server copies a database. */
export type CloneStrategy = "wal_log" | "file_copy" | "clone";

const stampSchema = z.looseObject({
  machine: z.string(),
  kind: z.enum(["template", "pool", "agent", "trash", "snapshot", "copy"]),
});

/** Our mark on a database, kept as its COMMENT (clones do not inherit it). Only marked databases are ever destroyed. */
export type Stamp = z.output<typeof stampSchema>;

export interface DatabaseInfo {
  name: string;
  oid: number;
  /** Absent on databases that are not ours. */
  stamp?: Stamp;
  sizeBytes: number;
  isTemplate: boolean;
  /** A DROP of it was interrupted (Postgres was killed, its disk was full): nothing but another DROP works on it. */
  broken?: true;
}

/** Every database of the server whose name begins with `prefix`. */
export async function listDatabases(sql: Sql, prefix = ""): Promise<DatabaseInfo[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listWithSizes(sql, prefix);
    } catch (error) {
      // "No such object": somebody dropped one between the list and the question for its size.
      if (errorNumber(error) !== "42704" || attempt === 10) throw error;
    }
  }
}

async function listWithSizes(sql: Sql, prefix: string): Promise<DatabaseInfo[]> {
  const { rows } = await sql.query(
    `SELECT d.datname, d.oid::int8::text AS oid, d.datistemplate, d.datconnlimit,
            shobj_description(d.oid, 'pg_database') AS comment, pg_database_size(d.oid)::text AS size
       FROM pg_database d WHERE starts_with(d.datname, $1) ORDER BY d.oid`,
    [prefix],
  );
  return rows.map((row) => ({ ...readDatabase(row), sizeBytes: Number(row["size"]) }));
}

/** One database by its name, with its mark; undefined when there is none. */
export async function findDatabase(sql: Sql, name: string): Promise<Omit<DatabaseInfo, "sizeBytes"> | undefined> {
  return (await findDatabases(sql, name)).find((one) => one.name === name);
}

/** The same as listDatabases without the sizes, for which the server would look at every file. */
export async function findDatabases(sql: Sql, prefix: string): Promise<Omit<DatabaseInfo, "sizeBytes">[]> {
  const { rows } = await sql.query(
    `SELECT datname, oid::int8::text AS oid, datistemplate, datconnlimit, shobj_description(oid, 'pg_database') AS comment
       FROM pg_database WHERE starts_with(datname, $1) ORDER BY oid`,
    [prefix],
  );
  return rows.map(readDatabase);
}

function readDatabase(row: Record<string, unknown>): Omit<DatabaseInfo, "sizeBytes"> {
  const stamp = readStamp(row["comment"]);
  return {
    name: String(row["datname"]),
    oid: Number(row["oid"]),
    isTemplate: row["datistemplate"] === true,
    // What Postgres writes there before it deletes the first file.
    ...(Number(row["datconnlimit"]) === -2 ? { broken: true } : {}),
    ...(stamp === undefined ? {} : { stamp }),
  };
}

function readStamp(comment: unknown): Stamp | undefined {
  if (typeof comment !== "string" || !comment.startsWith("{")) return undefined;
  try {
    return stampSchema.safeParse(JSON.parse(comment)).data;
  } catch {
    // Somebody else's comment that happens to begin like ours.
    return undefined;
  }
}

/** The statement that puts our mark on a database. */
export const stampStatement = (name: string, stamp: Stamp): string =>
  `COMMENT ON DATABASE ${sqlName(name)} IS ${sqlText(JSON.stringify(stamp))}`;

/** Copies a template database. The new one carries no mark yet. */
export async function copyDatabase(sql: Sql, from: string, to: string, strategy: CloneStrategy): Promise<void> {
  if (strategy === "clone") await sql.query("SET file_copy_method = 'clone'");
  const how = strategy === "wal_log" ? "WAL_LOG" : "FILE_COPY";
  await sql.query(`CREATE DATABASE ${sqlName(to)} TEMPLATE ${sqlName(from)} STRATEGY ${how}`);
}

/** Drops a database whoever is connected; gone is gone. */
export async function dropDatabase(sql: Sql, name: string): Promise<void> {
  const found = await findDatabase(sql, name);
  if (found?.isTemplate) await sql.query(`ALTER DATABASE ${sqlName(name)} IS_TEMPLATE false`);
  await sql.query(`DROP DATABASE IF EXISTS ${sqlName(name)} WITH (FORCE)`);
}

/**
 * Takes a database out of use at once and returns the name it has until it is dropped: a rename takes a millisecond,
 * a drop of a large database does not. Sessions on it are ended.
 */
export async function trashDatabase(sql: Sql, name: string, machine: string): Promise<string> {
  const trash = trashDatabaseName(randomBytes(6).toString("hex"));
  await sql.query(`ALTER DATABASE ${sqlName(name)} ALLOW_CONNECTIONS false`);
  await endSessions(sql, name);
  // One text is one transaction: what drops the trash never meets it between the two.
  await sql.query(
    `ALTER DATABASE ${sqlName(name)} RENAME TO ${sqlName(trash)};
     ${stampStatement(trash, { machine, kind: "trash" })}`,
  );
  return trash;
}

/** How often is looked whether sessions have ended, in ms. */
const pollMs = 5;

/** Ends every session on a database and returns when they are gone (RENAME would wait 5 s for them and then fail). */
export async function endSessions(sql: Sql, name: string, limitMs = 5000): Promise<void> {
  // All of them at once; to have the server wait for each takes a tenth of a second a session.
  const end = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
  const left = await waitEnded(sql, pidsOf(await sql.query(end, [name])), limitMs);
  if (left.length === 0) return;
  throw new HarnessError(
    "POSTGRES_UNAVAILABLE",
    `Sessions on database ${name} did not end within ${limitMs} ms: server pids ${left.join(", ")}.`,
    { hint: "Run the same command again.", context: { database: name, pids: left } },
  );
}

/** Waits for sessions that were told to end; returns those that are still there after the limit. */
export async function waitEnded(sql: Sql, pids: readonly number[], limitMs: number): Promise<number[]> {
  const last = Date.now() + limitMs;
  for (let left = [...pids]; ; await delay(pollMs)) {
    if (left.length > 0) left = pidsOf(await sql.query("SELECT pid FROM pg_stat_activity WHERE pid = ANY($1)", [left]));
    if (left.length === 0 || Date.now() > last) return left;
  }
}

const pidsOf = ({ rows }: { rows: Record<string, unknown>[] }): number[] => rows.map((row) => Number(row["pid"]));

/** Drops every trashed database of ours. */
export async function emptyTrash(server: PostgresServer, machine: string): Promise<string[]> {
  return await withSql(server, maintenanceDatabase, async (sql) => {
    const trash = (await listDatabases(sql, trashDatabaseName(""))).filter((one) => one.stamp?.machine === machine);
    for (const { name } of trash) await dropDatabase(sql, name);
    return trash.map((one) => one.name);
  });
}
