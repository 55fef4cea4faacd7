import type { Stamp } from "./databases.ts";
import type { Sql } from "./sql.ts";

/*
 * Whether anything was written to an agent's database since it was cloned. The server counts the rows that are inserted,
 * updated and deleted in each database, those of its own tables too, so that a change of the schema counts as well. It begins
 * anew when it crashes; since when it counts is therefore a part of the database's mark.
 */

/** How much was written to a database, as the server counts it. */
interface Written {
  /** Since when the server counts; absent when it does not. */
  since?: string;
  rows: number;
}

/** What the mark of a database says of this when nothing was written to it yet. */
export async function writtenStamp(sql: Sql): Promise<{ written?: Written }> {
  const { since } = await readWritten(sql, 0);
  return since === undefined ? {} : { written: { since, rows: 0 } };
}

/** The same for a database in which what the config runs after a clone has run. */
export async function writtenStampOf(sql: Sql, oid: number): Promise<{ written?: Written }> {
  const written = await readWritten(sql, oid);
  return written.since === undefined ? {} : { written };
}

/**
 * Whether a database is certainly as its mark says. The rows that a session wrote count when it has ended, or a second later:
 * who has to be sure ends all sessions first.
 */
export async function isUnwritten(sql: Sql, { oid, stamp }: { oid: number; stamp: Stamp }): Promise<boolean> {
  const was = stamp["written"] as Partial<Written> | undefined;
  const now = await readWritten(sql, oid);
  return now.since !== undefined && now.since === was?.since && now.rows === was.rows;
}

async function readWritten(sql: Sql, oid: number): Promise<Written> {
  const { rows } = await sql.query(
    `SELECT stats_reset::text AS since, current_setting('track_counts') AS counts,
            pg_stat_get_db_stat_reset_time($1::oid) IS NULL AS whole,
            (pg_stat_get_db_tuples_inserted($1::oid) + pg_stat_get_db_tuples_updated($1::oid)
              + pg_stat_get_db_tuples_deleted($1::oid))::text AS rows
       FROM pg_stat_bgwriter`,
    [oid],
  );
  const [row] = rows;
  const counts = row?.["counts"] === "on" && row["whole"] === true && typeof row["since"] === "string";
  return { rows: Number(row?.["rows"] ?? 0), ...(counts ? { since: String(row["since"]) } : {}) };
}
