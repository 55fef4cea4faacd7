import type { Sql } from "./sql.ts";

/*
 * Which daemon looks after which session. A lease ends by itself when its owner does not renew it, by the server's clock, so
 * that no daemon's own clock matters. An owner is one run of a daemon: a name that no other one has, or had.
 */

/** Whose sessions are taken: those of this home, and those that say none. */
export interface OfHome {
  home?: string;
}

/** The leases of sessions. */
export interface LeaseTable {
  /** Takes a session that nobody holds, or prolongs one's own; false when somebody else holds it or it is gone. */
  claim(session: string, owner: string, ttlMs: number, which?: OfHome): Promise<boolean>;
  /** Takes sessions that nobody holds, the oldest first, without those of these statuses; returns their ids. */
  claimFree(
    owner: string,
    ttlMs: number,
    which?: OfHome & { limit?: number; except?: readonly string[] },
  ): Promise<string[]>;
  /** Who holds leases. */
  owners(which?: OfHome): Promise<string[]>;
  /** Prolongs all that an owner holds and returns their ids: what is missing belongs to somebody else now, or is gone. */
  renew(owner: string, ttlMs: number): Promise<string[]>;
  /** Gives sessions back, or all that an owner holds. */
  release(owner: string, sessions?: readonly string[]): Promise<void>;
}

const until = (place: string): string => `clock_timestamp() + make_interval(secs => ${place}::float8 / 1000)`;
const ofHome = (place: string): string => `(${place}::text IS NULL OR home IS NULL OR home = ${place})`;
const free = "(lease_owner IS NULL OR lease_until < clock_timestamp())";

/** The leases, on a pool or in a transaction. */
export function leaseTable(sql: Sql): LeaseTable {
  const ids = async (text: string, values: readonly unknown[]): Promise<string[]> =>
    (await sql.query(text, values)).rows.map((row) => String(row["id"]));
  return {
    claim: async (session, owner, ttlMs, { home } = {}) => {
      const claimed = await ids(
        `UPDATE harness.sessions SET lease_owner = $2, lease_until = ${until("$3")}
          WHERE id = $1 AND (lease_owner = $2 OR ${free}) AND ${ofHome("$4")} RETURNING id`,
        [session, owner, ttlMs, home ?? null],
      );
      return claimed.length > 0;
    },
    claimFree: (owner, ttlMs, { limit, except = [], home } = {}) =>
      ids(
        `UPDATE harness.sessions SET lease_owner = $1, lease_until = ${until("$2")}
          WHERE id IN (SELECT id FROM harness.sessions WHERE ${free} AND status <> ALL ($4) AND ${ofHome("$5")}
                        ORDER BY created_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
          RETURNING id`,
        [owner, ttlMs, limit ?? null, except, home ?? null],
      ),
    owners: ({ home } = {}) =>
      ids(`SELECT DISTINCT lease_owner AS id FROM harness.sessions WHERE lease_owner IS NOT NULL AND ${ofHome("$1")}`, [
        home ?? null,
      ]),
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
