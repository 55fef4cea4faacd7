/** The door of store/: the event log and what else the harness has to remember, in its own database. */
export type { Delivery, DeliveryAttempt, DeliveryState, NewDelivery } from "./deliveries.ts";
export type { EventFilter, EventLog, Feed, NewEvent, StoredEvent } from "./event.ts";
export type { StoredMessage } from "./messages.ts";
export { type OpenStoreOptions, openStore } from "./open-store.ts";
export type { StoredProject } from "./projects.ts";
export type { Pruned, Retention } from "./retention.ts";
export type { NewStoredSession, SessionChange, StoredSession } from "./sessions.ts";
export type { StoreServer } from "./sql.ts";
export type { Store, Tables, Tx } from "./store.ts";
