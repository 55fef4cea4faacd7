import type { Pool } from "./pool.ts";
import { readBounds } from "./read-events.ts";
import type { Sql } from "./sql.ts";

/** Which events are kept: those that no limit excludes. */
export interface Retention {
  /** The newest so many. */
  keepEvents?: number;
  /** Those that are younger. */
  keepDays?: number;
}

/** What a prune did. */
export interface Pruned {
  deleted: number;
  /** The lowest id that is still there, or will be the next one. */
  lowest: number;
}

/** How many events are deleted in one transaction. */
const batch = 10_000;

/** Deletes the oldest events; that they are gone is remembered, so that nobody takes the rest for all. */
export async function pruneEvents(pool: Pool, retention: Retention): Promise<Pruned> {
  const { head, lowest: before } = await readBounds(pool);
  const lowest = Math.max(before, await lowestToKeep(pool, retention, head));
  let deleted = 0;
  for (let from = before; from < lowest; from += batch) {
    const to = Math.min(from + batch, lowest);
    deleted += await pool.transaction(async (sql) => {
      // First: whoever reads sees the events, or that they are gone.
      await sql.query("UPDATE harness.event_retention SET lowest_id = greatest(lowest_id, $1)", [to]);
      return (await sql.query("DELETE FROM harness.events WHERE id < $1", [to])).rowCount;
    });
  }
  return { deleted, lowest };
}

async function lowestToKeep(sql: Sql, { keepEvents, keepDays }: Retention, head: number): Promise<number> {
  const byCount = keepEvents === undefined ? 0 : head - keepEvents + 1;
  if (keepDays === undefined) return byCount;
  // Times rise with the ids; only what is deleted is walked over.
  const { rows } = await sql.query(
    "SELECT id FROM harness.events WHERE at >= now() - make_interval(secs => $1) ORDER BY id LIMIT 1",
    [keepDays * 86_400],
  );
  return Math.max(byCount, rows[0] === undefined ? head + 1 : Number(rows[0]["id"]));
}
