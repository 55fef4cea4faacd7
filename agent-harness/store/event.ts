/* What is kept of everything that happens: one log for the whole machine. */

/** An event before it is in the log. */
export interface NewEvent {
  type: string;
  project: string;
  /** The session that it is about; absent for what is about the project. */
  agentId?: string;
  /** What the type says besides; JSON. */
  data: Record<string, unknown>;
}

/** An event of the log. Ids rise by one in the order in which events became visible: who has seen 7 will see no 6 any more. */
export interface StoredEvent extends NewEvent {
  id: number;
  /** When it was appended. */
  at: Date;
}

/** Which events somebody wants. */
export interface EventFilter {
  project?: string;
  agentId?: string;
}

/** What a subscriber gets: an event, or that some are not there any more. */
export type Feed = { kind: "event"; event: StoredEvent } | { kind: "gap"; from: number; to: number; reason: string };

/** The append-only log. */
export interface EventLog {
  /** Appends all or none; visible to every subscriber, of every daemon, from the commit on. Returns them with their ids. */
  append(events: readonly NewEvent[]): Promise<StoredEvent[]>;
  /** The id of the newest event; 0 before the first one. */
  head(): Promise<number>;
  /**
   * Events after `since`, in order, none lost or doubled, then new ones as they come, until `signal` aborts. Without `since`
   * only new ones. Before what is retained, or beyond the head, it begins with a gap.
   */
  subscribe(filter: EventFilter, options: { since?: number; signal: AbortSignal }): AsyncIterable<Feed>;
  /** The last `limit` events that happened at `since` or later, oldest first. */
  newest(filter: EventFilter, options: { since: Date; limit: number }): Promise<StoredEvent[]>;
  /** Events after `since`, at most `limit`. */
  read(filter: EventFilter, options: { since: number; limit: number }): Promise<StoredEvent[]>;
}
