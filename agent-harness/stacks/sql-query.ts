import { type Infra, type SqlResult, withSql } from "../infra/index.ts";
import { databaseName } from "../shared/names.ts";

/** Runs SQL in an agent's own database; of several statements the last one's result is returned. */
export async function runQuery(infra: Infra, id: number, text: string): Promise<SqlResult> {
  return await withSql(infra.postgres, databaseName(id), (sql) => sql.query(text));
}

/** One of the slowest queries of a stack's database. */
export interface SlowQuery {
  calls: number;
  meanMs: number;
  totalMs: number;
  rows: number;
  query: string;
}

/** The ten queries of this stack's database that took the most time on average; of no other database. */
export async function slowQueries(infra: Infra, id: number): Promise<SlowQuery[]> {
  const { rows } = await runQuery(
    infra,
    id,
    `SELECT calls::float8 AS calls, round(mean_exec_time::numeric, 3)::float8 AS mean,
            round(total_exec_time::numeric, 3)::float8 AS total, rows::float8 AS rows, query
       FROM pg_stat_statements
      WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      ORDER BY mean_exec_time DESC LIMIT 10`,
  );
  return rows.map((row) => ({
    calls: Number(row["calls"]),
    meanMs: Number(row["mean"]),
    totalMs: Number(row["total"]),
    rows: Number(row["rows"]),
    query: String(row["query"]).replaceAll(/\s+/g, " ").trim(),
  }));
}
