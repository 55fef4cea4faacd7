import type { Store } from "../store/index.ts";

/* What is asked of the store's tables besides what they offer themselves. */

/** The daemons that hold leases. */
export async function leaseOwners(store: Store): Promise<string[]> {
  const text = "SELECT DISTINCT lease_owner AS owner FROM harness.sessions WHERE lease_owner IS NOT NULL";
  const { rows } = await store.transaction((tx) => tx.query(text));
  return rows.map((row) => String(row["owner"]));
}

/** The newest events of a session of some types, oldest first. */
export async function newestEvents(
  store: Store,
  id: string,
  { types, limit }: { types: readonly string[]; limit: number },
): Promise<{ type: string; data: Record<string, unknown> }[]> {
  const text =
    "SELECT type, data FROM harness.events WHERE agent_id = $1 AND type = ANY ($2) ORDER BY id DESC LIMIT $3";
  const { rows } = await store.transaction((tx) => tx.query(text, [id, types, limit]));
  return rows.reverse() as { type: string; data: Record<string, unknown> }[];
}
