import { setTimeout as delay } from "node:timers/promises";
import type PG from "pg";
import { errorNumber, HarnessError } from "../shared/errors.ts";
import { explain, isUnavailable, newPool, type Rows, runOn, type Sql, type StorePlace } from "./sql.ts";

/** Connections to one database. */
export interface Pool extends Sql {
  /** Runs `work` on one connection in one transaction. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Returns when every connection is closed; transactions that are under way end first. */
  close(): Promise<void>;
}

/** How often a transaction is tried that others got in the way of. */
const attempts = 5;

/** Opens nothing yet: a connection is made when it is needed, at most `max` of them. */
export function openPool(place: StorePlace, max: number): Pool {
  const pool = newPool(place, max);
  return {
    query: (text, values) => onClient(pool, place, (client) => runOn(client, place, text, values)),
    transaction: (work) => transaction(pool, place, work),
    close: () => pool.end(),
  };
}

/** A connection on which something went wrong that is not about the statement is closed, not used again. */
async function onClient<T>(pool: PG.Pool, place: StorePlace, work: (client: PG.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw explain(place, error);
  });
  let broken = false;
  try {
    return await work(client);
  } catch (error) {
    broken = isUnavailable(error) || error instanceof RollbackFailed;
    throw error instanceof RollbackFailed ? error.reason : error;
  } finally {
    client.release(broken);
  }
}

class RollbackFailed extends Error {
  readonly reason: unknown;
  constructor(reason: unknown) {
    super("ROLLBACK failed");
    this.reason = reason;
  }
}

async function transaction<T>(pool: PG.Pool, place: StorePlace, work: (sql: Sql) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await onClient(pool, place, (client) => once(client, place, work));
    } catch (error) {
      // A deadlock or a conflict between transactions: the server has taken this one back whole.
      if (!["40P01", "40001"].includes(errorNumber(error) ?? "") || attempt === attempts) throw error;
      // The other one has to be woken first, or they meet again at the same place.
      await delay(Math.random() * 20 * 2 ** attempt);
    }
  }
}

async function once<T>(client: PG.PoolClient, place: StorePlace, work: (sql: Sql) => Promise<T>): Promise<T> {
  const run = (text: string, values?: readonly unknown[]): Promise<Rows> => runOn(client, place, text, values);
  const { sql, end } = inTurn(run);
  await run("BEGIN");
  let result: T;
  try {
    result = await work(sql);
    await end();
  } catch (error) {
    await end();
    await run("ROLLBACK").catch(() => {
      throw new RollbackFailed(error);
    });
    throw error;
  }
  const { command } = await run("COMMIT");
  // Where a statement failed and the failure was swallowed, Postgres answers COMMIT with a rollback, and no error.
  if (command === "COMMIT") return result;
  throw new HarnessError("INTERNAL", "A transaction was to be committed after one of its statements had failed.");
}

/** Statements one after the other, also when they are given at once; none any more after the end. */
function inTurn(run: Sql["query"]): { sql: Sql; end: () => Promise<void> } {
  let last: Promise<unknown> = Promise.resolve();
  let ended = false;
  return {
    sql: {
      query: async (text, values) => {
        if (ended) throw new HarnessError("INTERNAL", "A statement was given to a transaction that is over.");
        const mine = last.then(() => run(text, values));
        last = mine.catch(() => undefined);
        return await mine;
      },
    },
    end: async () => {
      ended = true;
      await last;
    },
  };
}
