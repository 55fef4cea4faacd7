/** The door of store/: the event log and what else the harness has to remember, in its own database. */
export type { Delivery, DeliveryState, NewDelivery } from "./deliveries.ts";
export type { EventFilter, EventLog, Feed, NewEvent, StoredEvent } from "./event.ts";
export { type OpenStoreOptions, openStore } from "./open-store.ts";
export type { StoredProject } from "./projects.ts";
export type { NewStoredSession, StoredSession } from "./sessions.ts";
export type { Store, Tables, Tx } from "./store.ts";
