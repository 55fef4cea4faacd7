import { type Sql, sqlText } from "./sql.ts";

/** A post to be made. */
export interface NewDelivery {
  /** The same for every attempt. */
  id: string;
  event: string;
  project: string;
  agentId: string;
  url: string;
  /** A secret of the receiver. */
  token?: string;
  /** What is posted, byte for byte. */
  body: string;
}

/** `pending`: still to be tried, or being tried; `failed`: given up. */
export type DeliveryState = "pending" | "delivered" | "failed";

/** How one attempt went. */
export interface DeliveryAttempt {
  /** 1 for the first one. */
  attempt: number;
  /** ISO 8601. */
  at: string;
  ms: number;
  /** What the receiver answered, if it did. */
  status?: number;
  error?: string;
}

/** A delivery as it is kept, without the receiver's secret. */
export interface Delivery extends Omit<NewDelivery, "token"> {
  state: DeliveryState;
  /** How many attempts were begun. */
  attempts: number;
  nextAt: Date;
  createdAt: Date;
  log: DeliveryAttempt[];
}

/** One that was claimed, to be tried now. */
export type ClaimedDelivery = Delivery & Pick<NewDelivery, "token">;

/** What came of an attempt: it is done, given up, or tried again after a while. */
export type Outcome = { state: "delivered" | "failed" } | { state: "pending"; inMs: number };

/** The queue of webhooks. */
export interface DeliveryTable {
  /** False when one with this id is there already. */
  add(delivery: NewDelivery): Promise<boolean>;
  /**
   * Takes deliveries that are due, each for one claimer: their next attempt is begun. One that is not settled within
   * `leaseMs`, since its claimer was killed, is due again.
   */
  claim(limit: number, leaseMs: number): Promise<ClaimedDelivery[]>;
  /** Writes down how the attempt went. False when it took so long that somebody else has begun another one. */
  settle(id: string, attempt: DeliveryAttempt, outcome: Outcome): Promise<boolean>;
  /** In how many ms the next one is due, 0 for now; undefined when none waits. */
  nextInMs(): Promise<number | undefined>;
  /** The newest first. */
  list(which?: { project?: string; agentId?: string; state?: DeliveryState; limit?: number }): Promise<Delivery[]>;
  find(id: string): Promise<Delivery | undefined>;
  count(): Promise<Record<DeliveryState, number>>;
  /** Forgets those that are settled and older. */
  prune(keepDays: number): Promise<number>;
}

const columns = "id, event, project, agent_id, url, token, body, state, attempts, next_at, created_at, log";
const inMs = (place: string): string => `clock_timestamp() + make_interval(secs => ${place}::float8 / 1000)`;

/** The queue, on a pool or in a transaction. */
export function deliveryTable(sql: Sql): DeliveryTable {
  const list: DeliveryTable["list"] = async ({ project, agentId, state, limit } = {}) => {
    const { rows } = await sql.query(
      `SELECT ${columns} FROM harness.deliveries
        WHERE ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR agent_id = $2)
          AND ($3::text IS NULL OR state = $3) ORDER BY created_at DESC, id LIMIT $4`,
      [project ?? null, agentId ?? null, state ?? null, limit ?? null],
    );
    return rows.map(readDelivery);
  };
  return {
    add: (delivery) => add(sql, delivery),
    claim: (limit, leaseMs) => claim(sql, limit, leaseMs),
    settle: (id, attempt, outcome) => settle(sql, id, attempt, outcome),
    nextInMs: async () => {
      const text = `SELECT extract(epoch FROM min(next_at) - clock_timestamp()) * 1000 AS ms
                      FROM harness.deliveries WHERE state = 'pending'`;
      const ms = (await sql.query(text)).rows[0]?.["ms"];
      return ms === null || ms === undefined ? undefined : Math.max(0, Math.ceil(Number(ms)));
    },
    list,
    find: async (id) => {
      const { rows } = await sql.query(`SELECT ${columns} FROM harness.deliveries WHERE id = $1`, [id]);
      return rows[0] && readDelivery(rows[0]);
    },
    count: async () => {
      const { rows } = await sql.query("SELECT state, count(*) AS count FROM harness.deliveries GROUP BY state");
      const counts = Object.fromEntries(rows.map((row) => [String(row["state"]), Number(row["count"])]));
      return { pending: 0, delivered: 0, failed: 0, ...counts };
    },
    prune: async (keepDays) => {
      const text = `DELETE FROM harness.deliveries
                     WHERE state <> 'pending' AND created_at < now() - make_interval(secs => $1)`;
      return (await sql.query(text, [keepDays * 86_400])).rowCount;
    },
  };
}

async function add(sql: Sql, { id, event, project, agentId, url, token, body }: NewDelivery): Promise<boolean> {
  const { rowCount } = await sql.query(
    `INSERT INTO harness.deliveries (id, event, project, agent_id, url, token, body)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
    [id, event, project, agentId, url, token ?? null, sqlText(body)],
  );
  return rowCount > 0;
}

async function claim(sql: Sql, limit: number, leaseMs: number): Promise<ClaimedDelivery[]> {
  const { rows } = await sql.query(
    `UPDATE harness.deliveries SET attempts = attempts + 1, next_at = ${inMs("$2")}
      WHERE id IN (SELECT id FROM harness.deliveries WHERE state = 'pending' AND next_at <= clock_timestamp()
                    ORDER BY next_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
      RETURNING ${columns}`,
    [limit, leaseMs],
  );
  return rows.map((row) => ({
    ...readDelivery(row),
    ...(row["token"] === null ? {} : { token: String(row["token"]) }),
  }));
}

async function settle(sql: Sql, id: string, attempt: DeliveryAttempt, outcome: Outcome): Promise<boolean> {
  const entry = { ...attempt, ...(attempt.error === undefined ? {} : { error: sqlText(attempt.error) }) };
  const wait = outcome.state === "pending" ? outcome.inMs : 0;
  // The number of the attempt is what a late claimer is told by.
  const { rowCount } = await sql.query(
    `UPDATE harness.deliveries SET state = $3, log = log || $4::jsonb, next_at = ${inMs("$5")}
      WHERE id = $1 AND state = 'pending' AND attempts = $2`,
    [id, attempt.attempt, outcome.state, JSON.stringify([entry]), wait],
  );
  return rowCount > 0;
}

const readDelivery = (row: Record<string, unknown>): Delivery => ({
  id: String(row["id"]),
  event: String(row["event"]),
  project: String(row["project"]),
  agentId: String(row["agent_id"]),
  url: String(row["url"]),
  body: String(row["body"]),
  state: row["state"] as DeliveryState,
  attempts: Number(row["attempts"]),
  nextAt: row["next_at"] as Date,
  createdAt: row["created_at"] as Date,
  log: row["log"] as DeliveryAttempt[],
});
