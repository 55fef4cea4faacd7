import { harnessDatabase } from "../shared/names.ts";
import { appendEvents } from "./append.ts";
import { deliveryTable } from "./deliveries.ts";
import { idempotencyTable } from "./idempotency.ts";
import { leaseTable } from "./leases.ts";
import { messageTable } from "./messages.ts";
import { openPool, type Pool } from "./pool.ts";
import { projectTable } from "./projects.ts";
import { readBounds, readEvents, readNewest } from "./read-events.ts";
import { pruneEvents } from "./retention.ts";
import { ensureDatabase, migrate } from "./schema.ts";
import { sessionTable } from "./sessions.ts";
import type { Sql, StorePlace, StoreServer } from "./sql.ts";
import type { Store, Tables } from "./store.ts";
import { subscribe } from "./subscription.ts";
import { openTail, type Tail } from "./tail.ts";

/** Where the store is. */
export interface OpenStoreOptions {
  server: StoreServer;
  /** (Default: agent_harness) */
  database?: string;
}

/** How many connections there are at most for work, and for subscribers who read the table. */
const connections = { work: 8, subscribers: 3 } as const;

/** Opens the store: the database is made and its schema brought up where needed. */
export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const { server, database = harnessDatabase } = options;
  const place: StorePlace = { server, database };
  await ensureDatabase(place);
  const pool = openPool(place, connections.work);
  try {
    await migrate(pool, place);
  } catch (error) {
    await pool.close();
    throw error;
  }
  return storeOn(pool, openPool(place, connections.subscribers), openTail(place));
}

function storeOn(pool: Pool, readers: Pool, tail: Tail): Store {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await tail.close();
    await Promise.all([pool.close(), readers.close()]);
  };
  return {
    ...tablesOn(pool),
    events: {
      append: (events) => appendEvents(pool, events),
      head: async () => (await readBounds(pool)).head,
      read: async (filter, part) => (await readEvents(pool, filter, part)).events.map(({ event }) => event),
      newest: (filter, part) => readNewest(pool, filter, part),
      subscribe: (filter, { since, signal }) => subscribe(readers, tail, { filter, since, signal }),
    },
    transaction: (work) =>
      pool.transaction((sql) =>
        work({ ...tablesOn(sql), query: sql.query, append: (events) => appendEvents(sql, events) }),
      ),
    prune: (retention) => pruneEvents(pool, retention),
    [Symbol.asyncDispose]: () => {
      closing ??= close();
      return closing;
    },
  };
}

const tablesOn = (sql: Sql): Tables => ({
  projects: projectTable(sql),
  sessions: sessionTable(sql),
  messages: messageTable(sql),
  leases: leaseTable(sql),
  idempotency: idempotencyTable(sql),
  deliveries: deliveryTable(sql),
});
