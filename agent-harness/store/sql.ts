import { createRequire } from "node:module";
import type PG from "pg";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";

/* The store's home of pg. Required, not imported: 25 ms less on the way of every command (ADR 0011). */
const pg = createRequire(import.meta.url)("pg") as typeof PG;

/** Where a Postgres server is and who we are there. */
export interface StoreServer {
  host: string;
  port: number;
  user: string;
  password: string;
}

/** A database of a server. */
export interface StorePlace {
  server: StoreServer;
  database: string;
}

/** What a statement gives back. */
export interface Rows {
  rows: Record<string, unknown>[];
  rowCount: number;
  command: string;
}

/** Something that runs statements: a pool, or the one connection of a transaction. */
export interface Sql {
  /** Runs one statement with parameters, or several without. STORE_UNAVAILABLE when Postgres does not answer. */
  query(text: string, values?: readonly unknown[]): Promise<Rows>;
}

/** How long is waited for a connection, for an answer, for a lock, and for the next word of an open transaction, in ms. */
const limits = { connect: 10_000, answer: 30_000, lock: 20_000, idle: 30_000 } as const;

/** A connection, not opened yet. A daemon that hangs in the middle of a transaction holds up the others for a while only. */
export function newClient(place: StorePlace, name?: string): PG.Client {
  const client = new pg.Client(clientOptions(place, name));
  // A connection that the server ends between two statements would otherwise end us; the next statement says it.
  client.on("error", () => undefined);
  return client;
}

/** Connections to one database, opened as they are needed. */
export function newPool(place: StorePlace, max: number): PG.Pool {
  const pool = new pg.Pool({ ...clientOptions(place), max });
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

const clientOptions = ({ server, database }: StorePlace, name = "store"): PG.ClientConfig => ({
  host: server.host,
  port: server.port,
  user: server.user,
  password: server.password,
  database,
  application_name: `agent-harness ${name}`,
  keepAlive: true,
  connectionTimeoutMillis: limits.connect,
  query_timeout: limits.answer,
  lock_timeout: limits.lock,
  idle_in_transaction_session_timeout: limits.idle,
});

/** Runs a statement on an open connection. */
export async function runOn(client: PG.ClientBase, place: StorePlace, text: string, values?: readonly unknown[]) {
  try {
    const result: unknown = await client.query(text, values === undefined ? undefined : [...values]);
    // Several statements in one text come back as an array.
    const last = (Array.isArray(result) ? result.at(-1) : result) as PG.QueryResult<Record<string, unknown>>;
    return { rows: last.rows, rowCount: last.rowCount ?? 0, command: last.command };
  } catch (error) {
    throw explain(place, error);
  }
}

/** What an error of pg means to us; one that is about the statement stays as it is. */
export function explain(place: StorePlace, error: unknown): unknown {
  if (error instanceof TypeError || error instanceof RangeError) return error;
  const code = errorNumber(error) ?? "";
  if (code === "53100") {
    return new HarnessError("DISK_FULL", `The disk of the Postgres server is full: ${errorText(error)}`, {
      hint: "Free some space, then run the same command again; it goes on where it stopped.",
      cause: error,
    });
  }
  if (isSqlState(code) && !isAboutConnection(code)) return error;
  const { server, database } = place;
  const text = isSqlState(code) || code === "" ? errorText(error) : `${code} ${errorText(error)}`.trim();
  return new HarnessError(
    "STORE_UNAVAILABLE",
    `The store, database ${database} of Postgres at ${server.host}:${server.port}, does not answer: ${text}`,
    { hint: "Run: agent-harness infra up", context: { database, host: server.host, port: server.port }, cause: error },
  );
}

const isSqlState = (code: string): boolean => /^[0-9A-Z]{5}$/.test(code);

/**
 * The states in which another try on another connection may succeed: connection and operator classes, a cut or too slow
 * transaction, a lock that others hold, too many connections, a login or a database that is not there.
 */
const isAboutConnection = (code: string): boolean => /^(08|57|28|25P0[34]|55P03|53300|3D000)/.test(code);

/** Whether an error means that the same may work later. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof HarnessError && error.code === "STORE_UNAVAILABLE";

/** A name as SQL wants it, where a parameter cannot stand. */
export const sqlName = (name: string): string => pg.escapeIdentifier(name);

/** A text that Postgres can keep: it has no place for NUL. */
export const sqlText = (text: string): string => text.replaceAll("\0", "\uFFFD");

/** A value as JSON, or null where there is none. */
export const sqlJson = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
