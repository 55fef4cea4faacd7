import { type SessionChange, sessionColumns, toSql } from "./session-columns.ts";
import type { Sql } from "./sql.ts";

/** A session as it is kept. What is `unknown` or only a `string` here has its type in the floor above. */
export interface StoredSession {
  id: string;
  project: string;
  provider: string;
  runIn: string;
  status: string;
  reason?: string;
  pending?: unknown;
  task: string;
  model?: string;
  subscription?: string;
  stack?: number;
  permissions?: string;
  cwd: string;
  callback?: unknown;
  createdAt: Date;
  lastActivity: Date;
  attachCommand: string;
  journal: string;
  providerSessionId?: string;
  providerSessionFile?: string;
  /** What is remembered between two records of the journal: JSON, true up to the offset. */
  state?: unknown;
  /** How many bytes of the journal have been worked in. */
  journalOffset: number;
  /** The id of its first event: those before it, with the same agentId, are of a session that had its name before. */
  firstEventId: number;
  /** The keeper's process: a pid alone may be another one's by now. */
  keeperPid?: number;
  keeperStarted?: string;
  /** The home that its keeper and its journal are in. */
  home?: string;
  /** Which daemon looks after it, and until when unless it says so again. */
  leaseOwner?: string;
  leaseUntil?: Date;
}

export type { SessionChange } from "./session-columns.ts";

/** A session to be kept. */
export type NewStoredSession = Omit<
  StoredSession,
  "createdAt" | "lastActivity" | "journalOffset" | "firstEventId" | "leaseOwner" | "leaseUntil"
>;

/** What must be true for a change to be made: nobody was faster, and it is still ours. */
export interface OnlyIf {
  journalOffset?: number;
  leaseOwner?: string;
}

/** The table of sessions. */
export interface SessionTable {
  add(session: NewStoredSession): Promise<"added" | "taken" | "no_project">;
  find(id: string): Promise<StoredSession | undefined>;
  /** The same, and in a transaction nobody else changes it before the end. */
  lock(id: string): Promise<StoredSession | undefined>;
  /** The oldest first: of a project, with these ids, or all. */
  list(which?: { project?: string; ids?: readonly string[] }): Promise<StoredSession[]>;
  /** Changes what is named; null takes away. False when it is gone, or not as `onlyIf` says. */
  change(id: string, change: SessionChange, onlyIf?: OnlyIf): Promise<boolean>;
  /** With its messages and the keys that were used for it; gone is gone. Its events stay. */
  remove(id: string): Promise<boolean>;
}

const names = Object.entries(sessionColumns).map(([name, { column }]) => `${column} AS "${name}"`);
const select = `SELECT ${names.join(", ")} FROM harness.sessions`;

/** The table, on a pool or in a transaction. */
export function sessionTable(sql: Sql): SessionTable {
  const one = async (rest: string, id: string): Promise<StoredSession | undefined> => {
    const { rows } = await sql.query(`${select} WHERE id = $1 ${rest}`, [id]);
    return rows[0] && readSession(rows[0]);
  };
  return {
    add: (session) => addSession(sql, session),
    find: (id) => one("", id),
    lock: (id) => one("FOR UPDATE", id),
    list: async ({ project, ids } = {}) => {
      const { rows } = await sql.query(
        `${select} WHERE ($1::text IS NULL OR project = $1) AND ($2::text[] IS NULL OR id = ANY ($2))
          ORDER BY created_at, id`,
        [project ?? null, ids ?? null],
      );
      return rows.map(readSession);
    },
    change: (id, change, onlyIf = {}) => changeSession(sql, id, change, onlyIf),
    remove: async (id) => (await sql.query("DELETE FROM harness.sessions WHERE id = $1", [id])).rowCount > 0,
  };
}

async function addSession(sql: Sql, session: NewStoredSession): Promise<"added" | "taken" | "no_project"> {
  const { columns, values } = toSql(session);
  const places = values.map((_, index) => `$${index + 2}`);
  // The project is held until the commit: it cannot be removed from under the session.
  const { rowCount } = await sql.query(
    `INSERT INTO harness.sessions (project, ${columns.join(", ")})
     SELECT name, ${places.join(", ")} FROM (SELECT name FROM harness.projects WHERE name = $1 FOR KEY SHARE) AS project
     ON CONFLICT DO NOTHING`,
    [session.project, ...values],
  );
  if (rowCount > 0) return "added";
  const found = await sql.query("SELECT FROM harness.projects WHERE name = $1", [session.project]);
  return found.rowCount === 0 ? "no_project" : "taken";
}

async function changeSession(sql: Sql, id: string, change: SessionChange, onlyIf: OnlyIf): Promise<boolean> {
  const { columns, values } = toSql(change);
  const all: unknown[] = [...values, id, onlyIf.journalOffset ?? null, onlyIf.leaseOwner ?? null];
  const at = values.length;
  // Without a change it only asks whether `onlyIf` holds.
  const set = columns.length === 0 ? "id = id" : columns.map((column, index) => `${column} = $${index + 1}`).join(", ");
  const { rowCount } = await sql.query(
    `UPDATE harness.sessions SET ${set}
      WHERE id = $${at + 1}
        AND ($${at + 2}::bigint IS NULL OR journal_offset = $${at + 2})
        AND ($${at + 3}::text IS NULL OR lease_owner = $${at + 3})`,
    all,
  );
  return rowCount > 0;
}

function readSession(row: Record<string, unknown>): StoredSession {
  const filled = Object.entries(row).filter(([, value]) => value !== null);
  const session = Object.fromEntries(filled) as unknown as StoredSession;
  return { ...session, journalOffset: Number(session.journalOffset), firstEventId: Number(session.firstEventId) };
}
