import { HarnessError } from "../shared/errors.ts";
import { type Sql, sqlJson } from "./sql.ts";

/** What is remembered under a key. */
export interface Remembered {
  /** What was asked for, as a text to compare: the same key with something else is a mistake of who asks. */
  request: string;
  /** What came of it; absent while it is under way, or when its doer was killed. */
  result?: unknown;
}

/** What a key is kept for: with this session it is forgotten, so that another one of the same name begins anew. */
export interface KeptFor {
  session?: string;
}

/** The table of idempotency keys. A scope is what is asked for, and where: the same key in another one is another one. */
export interface IdempotencyTable {
  /**
   * Takes a key, or says what is remembered under it. In the transaction that does what was asked for, both happen or
   * neither; who asks at the same time waits for that.
   */
  take(
    scope: string,
    key: string,
    entry: Remembered & KeptFor,
  ): Promise<{ fresh: true } | ({ fresh: false } & Remembered)>;
  find(scope: string, key: string): Promise<Remembered | undefined>;
  /** Writes down what came of it. */
  finish(scope: string, key: string, result: unknown, keptFor?: KeptFor): Promise<void>;
  /** Forgets keys that are older. */
  prune(keepHours: number): Promise<number>;
}

/** The table, on a pool or in a transaction. */
export function idempotencyTable(sql: Sql): IdempotencyTable {
  const find: IdempotencyTable["find"] = async (scope, key) => {
    const text = "SELECT request, result FROM harness.idempotency WHERE scope = $1 AND key = $2";
    const [row] = (await sql.query(text, [scope, key])).rows;
    return row && { request: String(row["request"]), ...(row["result"] === null ? {} : { result: row["result"] }) };
  };
  return {
    find,
    take: async (scope, key, { request, result, session }) => {
      // Twice: what was there may be forgotten before it is read.
      for (let attempt = 1; attempt <= 2; attempt += 1) {
        const { rowCount } = await sql.query(
          `INSERT INTO harness.idempotency (scope, key, request, result, session_id) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING`,
          [scope, key, request, sqlJson(result), session ?? null],
        );
        if (rowCount > 0) return { fresh: true };
        const found = await find(scope, key);
        if (found !== undefined) return { fresh: false, ...found };
      }
      throw new HarnessError("INTERNAL", `The idempotency key ${key} is neither taken nor free.`);
    },
    finish: async (scope, key, result, { session } = {}) => {
      await sql.query(
        `UPDATE harness.idempotency SET result = $3, session_id = coalesce($4, session_id)
          WHERE scope = $1 AND key = $2`,
        [scope, key, sqlJson(result), session ?? null],
      );
    },
    prune: async (keepHours) => {
      const text = "DELETE FROM harness.idempotency WHERE at < now() - make_interval(secs => $1)";
      return (await sql.query(text, [keepHours * 3600])).rowCount;
    },
  };
}
