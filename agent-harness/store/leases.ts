import type { Sql } from "./sql.ts";

/*
 * Which daemon looks after which session. A lease ends by itself when its owner does not renew it, by the server's clock, so
 * that no daemon's own clock matters. An owner is one run of a daemon: a name that no other one has, or had.
 */

/** The leases of sessions. */
export interface LeaseTable {
  /** Takes a session that nobody holds, or prolongs one's own; false when somebody else holds it or it is gone. */
  claim(session: string, owner: string, ttlMs: number): Promise<boolean>;
  /** Takes sessions that nobody holds, the oldest first, without those of these statuses; returns their ids. */
  claimFree(owner: string, ttlMs: number, which?: { limit?: number; except?: readonly string[] }): Promise<string[]>;
  /** Prolongs all that an owner holds and returns their ids: what is missing belongs to somebody else now, or is gone. */
  renew(owner: string, ttlMs: number): Promise<string[]>;
  /** Gives sessions back, or all that an owner holds. */
  release(owner: string, sessions?: readonly string[]): Promise<void>;
}

const until = (place: string): string => `clock_timestamp() + make_interval(secs => ${place}::float8 / 1000)`;
const free = "(lease_owner IS NULL OR lease_until < clock_timestamp())";

/** The leases, on a pool or in a transaction. */
export function leaseTable(sql: Sql): LeaseTable {
  const ids = async (text: string, values: readonly unknown[]): Promise<string[]> =>
    (await sql.query(text, values)).rows.map((row) => String(row["id"]));
  return {
    claim: async (session, owner, ttlMs) => {
      const claimed = await ids(
        `UPDATE harness.sessions SET lease_owner = $2, lease_until = ${until("$3")}
          WHERE id = $1 AND (lease_owner = $2 OR ${free}) RETURNING id`,
        [session, owner, ttlMs],
      );
      return claimed.length > 0;
    },
    claimFree: (owner, ttlMs, { limit, except = [] } = {}) =>
      ids(
        `UPDATE harness.sessions SET lease_owner = $1, lease_until = ${until("$2")}
          WHERE id IN (SELECT id FROM harness.sessions WHERE ${free} AND status <> ALL ($4)
                        ORDER BY created_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
          RETURNING id`,
        [owner, ttlMs, limit ?? null, except],
      ),
    renew: (owner, ttlMs) =>
      ids(`UPDATE harness.sessions SET lease_until = ${until("$2")} WHERE lease_owner = $1 RETURNING id`, [
        owner,
        ttlMs,
      ]),
    release: async (owner, sessions) => {
      await sql.query(
        `UPDATE harness.sessions SET lease_owner = NULL, lease_until = NULL
          WHERE lease_owner = $1 AND ($2::text[] IS NULL OR id = ANY ($2))`,
        [owner, sessions ?? null],
      );
    },
  };
}
