import { errorNumber, HarnessError } from "../shared/errors.ts";
import { type Migration, migrations } from "./migrations/index.ts";
import type { Pool } from "./pool.ts";
import { explain, newClient, runOn, type Sql, type StorePlace, sqlName } from "./sql.ts";

/** The database in which statements about other databases run. */
const maintenance = "postgres";

/** Creates the database unless it is there; somebody else may be doing the same. */
export async function ensureDatabase(place: StorePlace): Promise<void> {
  if (await answers(place)) return;
  const there: StorePlace = { server: place.server, database: maintenance };
  const client = newClient(there);
  try {
    await client.connect().catch((error: unknown) => {
      throw explain(there, error);
    });
    await runOn(client, there, `CREATE DATABASE ${sqlName(place.database)} TEMPLATE template0`);
  } catch (error) {
    // Made by somebody else meanwhile: seen in time, or only by the unique index.
    if (!["42P04", "23505"].includes(errorNumber(error) ?? "")) throw error;
  } finally {
    await client.end();
  }
}

/** Whether the database is there; STORE_UNAVAILABLE when its server does not say. */
async function answers(place: StorePlace): Promise<boolean> {
  const client = newClient(place);
  try {
    await client.connect();
    return true;
  } catch (error) {
    if (errorNumber(error) === "3D000") return false;
    throw explain(place, error);
  } finally {
    await client.end();
  }
}

/** Brings the schema to the newest step, once, whoever comes first. STORE_NEWER when it is beyond what we know. */
export async function migrate(
  pool: Pool,
  place: StorePlace,
  steps: readonly Migration[] = migrations,
): Promise<{ from: number; to: number }> {
  const before = await findVersion(pool);
  if (before === steps.length) return { from: before, to: before };
  return await pool.transaction(async (sql) => {
    // The others wait here, however long the steps take; the lock ends with the transaction, killed or not.
    await sql.query("SET LOCAL lock_timeout = 0");
    await sql.query("SELECT pg_advisory_xact_lock(hashtext('agent-harness store schema'))");
    await sql.query(
      `CREATE SCHEMA IF NOT EXISTS harness;
       CREATE TABLE IF NOT EXISTS harness.migrations
         (number integer PRIMARY KEY, name text NOT NULL, at timestamptz(3) NOT NULL DEFAULT now())`,
    );
    const from = (await findVersion(sql)) ?? 0;
    if (from > steps.length) throw newer(place, from, steps.length);
    for (const [index, { name, sql: text }] of steps.slice(from).entries()) {
      await sql.query(text);
      await sql.query("INSERT INTO harness.migrations (number, name) VALUES ($1, $2)", [from + index + 1, name]);
    }
    return { from, to: steps.length };
  });
}

/** How many steps the schema has had; undefined when there is none yet. */
async function findVersion(sql: Sql): Promise<number | undefined> {
  const found = await sql.query("SELECT to_regclass('harness.migrations') IS NOT NULL AS found");
  if (found.rows[0]?.["found"] !== true) return undefined;
  const { rows } = await sql.query("SELECT coalesce(max(number), 0) AS version FROM harness.migrations");
  return Number(rows[0]?.["version"]);
}

const newer = ({ server, database }: StorePlace, has: number, knows: number): HarnessError =>
  new HarnessError(
    "STORE_NEWER",
    `The store, database ${database} of Postgres at ${server.host}:${server.port}, has schema ${has}; this agent-harness knows ${knows}.`,
    {
      hint: "Run the newer agent-harness that made it, or set AGENT_HARNESS_HOME and the ports to a harness of its own.",
      leftBehind: "the store, as it was",
      context: { database, has, knows },
    },
  );
