import pg from "pg";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";

/* The one home of pg. */

/** Where a Postgres server is and who we are there. */
export interface PostgresServer {
  host: string;
  port: number;
  user: string;
  password: string;
}

/** What one statement gives back. */
export interface SqlResult {
  rows: Record<string, unknown>[];
  /** Column names, in order. */
  fields: string[];
  rowCount: number | null;
  command: string;
}

/** An open connection to one database. */
export interface Sql {
  /** Runs one statement with parameters, or several without. The last one's result is returned. */
  query(text: string, values?: readonly unknown[]): Promise<SqlResult>;
}

/** Opens a connection to one database, runs `work`, closes the connection. POSTGRES_UNAVAILABLE when it does not answer. */
export async function withSql<T>(server: PostgresServer, database: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    ...server,
    database,
    connectionTimeoutMillis: 5000,
    application_name: "agent-harness",
  });
  let lost: unknown;
  // A connection that the server ends between two statements would otherwise end us.
  client.on("error", (error) => {
    lost = error;
  });
  try {
    await client.connect();
  } catch (cause) {
    await client.end().catch(() => undefined);
    throw unavailable(server, cause);
  }
  try {
    return await work({ query: (text, values) => query(client, text, values) });
  } catch (error) {
    throw lost === undefined ? error : unavailable(server, lost);
  } finally {
    await client.end();
  }
}

async function query(client: pg.Client, text: string, values?: readonly unknown[]): Promise<SqlResult> {
  const result = values === undefined ? await client.query(text) : await client.query(text, [...values]);
  // Several statements in one text come back as an array.
  const last = (Array.isArray(result) ? (result as pg.QueryResult[]).at(-1) : result) as pg.QueryResult | undefined;
  return {
    rows: (last?.rows ?? []) as Record<string, unknown>[],
    fields: (last?.fields ?? []).map((field) => field.name),
    rowCount: last?.rowCount ?? null,
    command: last?.command ?? "",
  };
}

function unavailable(server: PostgresServer, cause: unknown): unknown {
  const code = errorNumber(cause) ?? "";
  // A SQLSTATE that is not about the connection (no such database, no access) is the caller's to read.
  if (/^[0-9A-Z]{5}$/.test(code) && !/^(57P|08|53)/.test(code)) return cause;
  const text = code === "" ? errorText(cause) : `${code} ${errorText(cause)}`.trim();
  return new HarnessError(
    "POSTGRES_UNAVAILABLE",
    `Postgres at ${server.host}:${server.port} does not answer: ${text}`,
    {
      hint: "Run: agent-harness infra up",
      cause,
    },
  );
}

/** A name as SQL wants it. */
export const sqlName = (name: string): string => pg.escapeIdentifier(name);

/** A text as SQL wants it, where a parameter cannot stand. */
export const sqlText = (text: string): string => pg.escapeLiteral(text);
