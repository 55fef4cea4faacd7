import type { EventFilter, StoredEvent } from "./event.ts";
import type { Sql } from "./sql.ts";

/** An event and how much room it takes. */
export interface SizedEvent {
  event: StoredEvent;
  sizeBytes: number;
}

/** Which events are in the log: those from `lowest` to `head`; none when the head is below. */
export interface Bounds {
  lowest: number;
  head: number;
}

/** What is in the log now. */
export async function readBounds(sql: Sql): Promise<Bounds> {
  const { rows } = await sql.query(
    "SELECT last_id, (SELECT lowest_id FROM harness.event_retention) AS lowest_id FROM harness.event_log",
  );
  return { head: Number(rows[0]?.["last_id"]), lowest: Number(rows[0]?.["lowest_id"]) };
}

/** A part of the log. */
export interface Part {
  since: number;
  limit: number;
  /** The last id that may be read; to the end without it. */
  upTo?: number;
}

/** Events after `since`, and from which id on there are any: both as they were at one moment. */
export async function readEvents(
  sql: Sql,
  filter: EventFilter,
  { since, limit, upTo }: Part,
): Promise<{ events: SizedEvent[]; lowest: number }> {
  const values: unknown[] = [since, limit];
  const conditions = ["id > $1"];
  const add = (condition: string, value: unknown): void => {
    values.push(value);
    conditions.push(`${condition} $${values.length}`);
  };
  if (upTo !== undefined) add("id <=", upTo);
  if (filter.project !== undefined) add("project =", filter.project);
  if (filter.agentId !== undefined) add("agent_id =", filter.agentId);
  const { rows } = await sql.query(
    `SELECT retention.lowest_id, found.*
       FROM harness.event_retention AS retention LEFT JOIN (
         SELECT id, at, type, project, agent_id, data::text AS data FROM harness.events
          WHERE ${conditions.join(" AND ")} ORDER BY id LIMIT $2
       ) AS found ON true ORDER BY found.id`,
    values,
  );
  return {
    events: rows.filter((row) => row["id"] !== null).map(readRow),
    lowest: Number(rows[0]?.["lowest_id"]),
  };
}

/** The last `limit` events that happened at `since` or later, oldest first. */
export async function readNewest(
  sql: Sql,
  { project, agentId }: EventFilter,
  { since, limit }: { since: Date; limit: number },
): Promise<StoredEvent[]> {
  const { rows } = await sql.query(
    `SELECT id, at, type, project, agent_id, data::text AS data FROM harness.events
      WHERE ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR agent_id = $2) AND at >= $3
      ORDER BY id DESC LIMIT $4`,
    [project ?? null, agentId ?? null, since, limit],
  );
  return rows.map((row) => readRow(row).event).reverse();
}

function readRow(row: Record<string, unknown>): SizedEvent {
  const data = String(row["data"]);
  const event: StoredEvent = {
    id: Number(row["id"]),
    at: row["at"] as Date,
    type: String(row["type"]),
    project: String(row["project"]),
    ...(typeof row["agent_id"] === "string" ? { agentId: row["agent_id"] } : {}),
    data: JSON.parse(data) as Record<string, unknown>,
  };
  return { event, sizeBytes: data.length };
}

/** Whether a subscriber wants an event. */
export const matches = ({ project, agentId }: EventFilter, event: StoredEvent): boolean =>
  (project === undefined || event.project === project) && (agentId === undefined || event.agentId === agentId);
