import type { Store, StoredSession } from "../store/index.ts";

/* What is asked of the store's tables besides what they offer themselves. */

/** The newest events of a session of some types, newest first; only those before an event, where one is given. */
export async function newestEvents(
  store: Store,
  { id, firstEventId }: Pick<StoredSession, "id" | "firstEventId">,
  { types, limit, before }: { types: readonly string[]; limit: number; before: number | undefined },
): Promise<{ id: number; type: string; data: Record<string, unknown> }[]> {
  // Those before are of a session that had its name before; while it is there, no other one has it.
  const text = `SELECT id, type, data FROM harness.events
                 WHERE agent_id = $1 AND id >= $2 AND type = ANY ($3) AND ($5::bigint IS NULL OR id < $5)
                 ORDER BY id DESC LIMIT $4`;
  const { rows } = await store.transaction((tx) => tx.query(text, [id, firstEventId, types, limit, before ?? null]));
  return rows.map((row) => ({ ...(row as { type: string; data: Record<string, unknown> }), id: Number(row["id"]) }));
}
