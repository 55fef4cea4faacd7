import { setTimeout as delay } from "node:timers/promises";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { maintenanceDatabase, waitEnded } from "./databases.ts";
import { type PostgresServer, type Sql, withSql } from "./sql.ts";

/** How often is looked for sessions that have become idle, in ms. */
const pollMs = 10;
/** How long is waited for those that were idle at first, in ms. */
const firstMs = 100;

export interface AloneOptions {
  database: string;
  /** How long a session may go on with the transaction that it is in, in ms. */
  graceMs: number;
}

/**
 * Runs a statement that the server carries out only on a database that nobody is connected to: a copy of it, or a rename. Such
 * a statement makes new connections wait until it is done; the sessions that are there are ended meanwhile, idle ones at once.
 * Nothing is switched off for that, so there is nothing that a killed command could leave switched off. Returns what the
 * statement gave, and how many sessions were ended.
 */
export async function whileAlone<T>(
  server: PostgresServer,
  { database, graceMs }: AloneOptions,
  statement: () => Promise<T>,
): Promise<{ result: T; ended: number }> {
  return await withSql(server, maintenanceDatabase, async (sql) => {
    // Before the statement: when it meets a session it looks again only after 100 ms.
    const first = await endSome(sql, database, graceMs === 0);
    await waitEnded(sql, first, firstMs);
    let ended = first.length;
    const start = Date.now();
    let running = true;
    const work = statement().finally(() => {
      running = false;
    });
    const watch = async (): Promise<void> => {
      while (running) {
        await delay(pollMs);
        if (running) ended += (await endSome(sql, database, Date.now() - start >= graceMs)).length;
      }
    };
    const [done] = await Promise.allSettled([work, watch()]);
    if (done.status === "rejected") throw explain(done.reason, database);
    return { result: done.value, ended };
  });
}

/** Tells idle sessions, or all of them, to end, and returns their pids. */
async function endSome(sql: Sql, database: string, busyToo: boolean): Promise<number[]> {
  const { rows } = await sql.query(
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND (state = 'idle' OR $2)",
    [database, busyToo],
  );
  return rows.map((row) => Number(row["pid"]));
}

/** 55006: the server waited for 5 s for the others to go. */
function explain(error: unknown, database: string): unknown {
  if (errorNumber(error) !== "55006") return error;
  return new HarnessError("POSTGRES_UNAVAILABLE", `Sessions on database ${database} did not end: ${errorText(error)}`, {
    hint: "Run the same command again.",
    leftBehind: `the database ${database}, as it was`,
    context: { database },
    cause: error,
  });
}
