import { type Sql, sqlText } from "./sql.ts";

/** A message of a session. */
export interface StoredMessage {
  /** Once in its session. */
  id: string;
  /** When, in ms since 1970. */
  at: number;
  role: string;
  text: string;
  finishReason: string | null;
  /** Which kind of record told it. */
  source?: string;
}

/** The table of messages. */
export interface MessageTable {
  /** Keeps messages; one with an id that is there already takes its place in the order. */
  put(session: string, messages: readonly StoredMessage[]): Promise<void>;
  /** The last `limit` of them in order, and how many there are; with a role only those. */
  list(
    session: string,
    query?: { limit?: number; role?: string },
  ): Promise<{ messages: StoredMessage[]; total: number }>;
  /** The last one, of a role. */
  last(session: string, role?: string): Promise<StoredMessage | undefined>;
}

/** The table, on a pool or in a transaction. */
export function messageTable(sql: Sql): MessageTable {
  const list: MessageTable["list"] = async (session, { limit, role } = {}) => {
    const { rows } = await sql.query(
      `SELECT id, at, role, text, finish_reason, source, count(*) OVER () AS total FROM harness.messages
        WHERE session_id = $1 AND ($2::text IS NULL OR role = $2) ORDER BY seq DESC LIMIT $3`,
      [session, role ?? null, limit ?? null],
    );
    return { messages: rows.reverse().map(readMessage), total: Number(rows[0]?.["total"] ?? 0) };
  };
  return {
    put: async (session, messages) => {
      for (const message of messages) await put(sql, session, message);
    },
    list,
    last: async (session, role) => {
      const { messages } = await list(session, { limit: 1, ...(role === undefined ? {} : { role }) });
      return messages[0];
    },
  };
}

async function put(sql: Sql, session: string, message: StoredMessage): Promise<void> {
  const { id, at, role, text, finishReason, source } = message;
  await sql.query(
    `INSERT INTO harness.messages (session_id, id, at, role, text, finish_reason, source)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (session_id, id) DO UPDATE
        SET at = excluded.at, role = excluded.role, text = excluded.text,
            finish_reason = excluded.finish_reason, source = excluded.source`,
    [session, sqlText(id), new Date(at), role, sqlText(text), finishReason, source ?? null],
  );
}

const readMessage = (row: Record<string, unknown>): StoredMessage => ({
  id: String(row["id"]),
  at: (row["at"] as Date).getTime(),
  role: String(row["role"]),
  text: String(row["text"]),
  finishReason: row["finish_reason"] === null ? null : String(row["finish_reason"]),
  ...(row["source"] === null ? {} : { source: String(row["source"]) }),
});
