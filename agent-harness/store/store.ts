import type { DeliveryTable } from "./deliveries.ts";
import type { EventLog, NewEvent, StoredEvent } from "./event.ts";
import type { IdempotencyTable } from "./idempotency.ts";
import type { LeaseTable } from "./leases.ts";
import type { MessageTable } from "./messages.ts";
import type { ProjectTable } from "./projects.ts";
import type { Pruned, Retention } from "./retention.ts";
import type { SessionTable } from "./sessions.ts";
import type { Sql } from "./sql.ts";

/* What the floors above have of the store. `openStore` in open-store.ts gives it. */

/** What is kept besides the events, a table each. On a Store each call is a transaction of its own; on a Tx it is part of it. */
export interface Tables {
  projects: ProjectTable;
  sessions: SessionTable;
  messages: MessageTable;
  leases: LeaseTable;
  idempotency: IdempotencyTable;
  deliveries: DeliveryTable;
}

/** An open transaction. */
export interface Tx extends Tables, Sql {
  /**
   * Appends events that become visible with the commit. Best done last: from here to the commit nobody else can append,
   * which is what makes the order of ids the order of commits.
   */
  append(events: readonly NewEvent[]): Promise<StoredEvent[]>;
}

/** The harness's own memory. Whatever is called while Postgres is gone throws STORE_UNAVAILABLE. */
export interface Store extends Tables, AsyncDisposable {
  events: EventLog;
  /**
   * All of `work` or nothing of it. `work` may run again when transactions got into each other's way, so it does nothing
   * but talk to the store. After STORE_UNAVAILABLE the commit may have happened all the same: look before doing it again.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Deletes the oldest events. */
  prune(retention: Retention): Promise<Pruned>;
}
