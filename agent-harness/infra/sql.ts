import { createRequire } from "node:module";
import type PG from "pg";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";

/* The one home of pg. Required, not imported: 25 ms less on the way of every command (ADR 0011). */
const pg = createRequire(import.meta.url)("pg") as typeof PG;

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
  /** Column names, in order; the second of the same name ends in `_2`. */
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
    throw lost === undefined ? explain(error) : unavailable(server, lost);
  } finally {
    await client.end();
  }
}

async function query(client: PG.Client, text: string, values?: readonly unknown[]): Promise<SqlResult> {
  const what = { text, rowMode: "array" as const, ...(values === undefined ? {} : { values: [...values] }) };
  const result: unknown = await client.query(what);
  // Several statements in one text come back as an array.
  const last = (Array.isArray(result) ? result.at(-1) : result) as PG.QueryArrayResult<unknown[]> | undefined;
  const fields = distinctNames((last?.fields ?? []).map((field) => field.name));
  return {
    rows: (last?.rows ?? []).map((row) => Object.fromEntries(fields.map((field, index) => [field, row[index]]))),
    fields,
    rowCount: last?.rowCount ?? null,
    command: last?.command ?? "",
  };
}

/** Column names, each once: SQL allows two of a name (`a.id, b.id`), a row as an object would lose one of them. */
export function distinctNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let distinct = name;
    for (let count = 2; taken.has(distinct) || (distinct !== name && names.includes(distinct)); count += 1) {
      distinct = `${name}_${count}`;
    }
    taken.add(distinct);
    return distinct;
  });
}

/** 53100 is the server's word for a full disk; our own kind of error tells what to do. */
function explain(error: unknown): unknown {
  if (errorNumber(error) !== "53100") return error;
  return new HarnessError("DISK_FULL", `The disk of the Postgres server is full: ${errorText(error)}`, {
    hint: "Free some space, then run the same command again; it goes on where it stopped.",
    cause: error,
  });
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

/** The most bytes of a name; Postgres cuts what is longer without an error, and two names become one. */
const maxNameBytes = 63;

/** A name as SQL wants it. INTERNAL for one that Postgres would cut. */
export function sqlName(name: string): string {
  if (Buffer.byteLength(name) <= maxNameBytes) return pg.escapeIdentifier(name);
  throw new HarnessError("INTERNAL", `The name ${name} is longer than the ${maxNameBytes} bytes that Postgres keeps.`);
}

/** A text as SQL wants it, where a parameter cannot stand. */
export const sqlText = (text: string): string => pg.escapeLiteral(text);
