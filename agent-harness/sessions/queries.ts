import type { Store, StoredSession } from "../store/index.ts";

/* What is asked of the store's tables besides what they offer themselves. */

/** The newest events of a session of some types, oldest first. */
export async function newestEvents(
  store: Store,
  { id, firstEventId }: Pick<StoredSession, "id" | "firstEventId">,
  { types, limit }: { types: readonly string[]; limit: number },
): Promise<{ type: string; data: Record<string, unknown> }[]> {
  // Those before are of a session that had its name before; while it is there, no other one has it.
  const text = `SELECT type, data FROM harness.events
                 WHERE agent_id = $1 AND id >= $2 AND type = ANY ($3) ORDER BY id DESC LIMIT $4`;
  const { rows } = await store.transaction((tx) => tx.query(text, [id, firstEventId, types, limit]));
  return rows.reverse() as { type: string; data: Record<string, unknown> }[];
}
