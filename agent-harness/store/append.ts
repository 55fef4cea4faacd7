import type { NewEvent, StoredEvent } from "./event.ts";
import type { Sql } from "./sql.ts";

/*
 * One statement, so one round trip: it counts, inserts and gives back what was made. The clock is read while the counter
 * is locked and never goes back, so times rise with the ids.
 */
const statement = `
  WITH counter AS (
    UPDATE harness.event_log
       SET last_id = last_id + cardinality($1::text[]), last_at = greatest(last_at, clock_timestamp())
    RETURNING last_id - cardinality($1::text[]) AS before, last_at
  )
  INSERT INTO harness.events (id, at, type, project, agent_id, data)
  SELECT counter.before + new.ord, counter.last_at, new.type, new.project, new.agent_id, new.data::json
    FROM counter, unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
         AS new (type, project, agent_id, data, ord)
   ORDER BY new.ord
  RETURNING id, at`;

/** Appends all or none. */
export async function appendEvents(sql: Sql, events: readonly NewEvent[]): Promise<StoredEvent[]> {
  if (events.length === 0) return [];
  return stored(events, (await sql.query(statement, columnsOf(events))).rows);
}

const columnsOf = (events: readonly NewEvent[]): unknown[] => [
  events.map((event) => event.type),
  events.map((event) => event.project),
  events.map((event) => event.agentId ?? null),
  events.map((event) => JSON.stringify(event.data)),
];

function stored(events: readonly NewEvent[], rows: readonly Record<string, unknown>[]): StoredEvent[] {
  const made = rows.map((row) => ({ id: Number(row["id"]), at: row["at"] as Date })).sort((a, b) => a.id - b.id);
  return made.map((one, index) => ({ ...(events[index] as NewEvent), ...one }));
}
