import { Pool, type PoolClient } from "pg";
import type { DatabaseEnv } from "./env.ts";

/** A pool or one of its clients: whatever can run a query. */
export type Queryable = Pick<Pool, "query">;

/** Connection settings as both pg and knex take them. */
export const connectionSettings = (env: DatabaseEnv) => ({
  host: env.PGHOST,
  port: env.PGPORT,
  user: env.PGUSER,
  password: env.PGPASSWORD,
  database: env.PGDATABASE,
});

/** The pool of a running process. It connects with the first query, so that starting never waits for the database. */
export function createPool(env: DatabaseEnv, name: string): Pool {
  const pool = new Pool({
    ...connectionSettings(env),
    application_name: name,
    max: 10,
    connectionTimeoutMillis: 3000,
  });
  // Without a listener, a lost idle connection (the server restarts) would end the process.
  pool.on("error", (error) => console.error(`An idle database connection was lost: ${error.message}`));
  return pool;
}

/** Name of the database that the pool is really connected to. */
export async function currentDatabase(db: Queryable): Promise<string> {
  const { rows } = await db.query<{ name: string }>("select current_database() as name");
  const [row] = rows;
  if (!row) throw new Error("The database did not say its name.");
  return row.name;
}

/** Runs `work` in one transaction; rolls back when it throws. */
export async function transaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    // A client that cannot even roll back is thrown away, not put back into the pool.
    await client.query("rollback").catch((cause: Error) => {
      broken = cause;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}
