import type { EventFilter, EventLog, Feed, NewEvent, StoredEvent } from "../store/index.ts";

/** An event log in memory, with what a test of its readers needs to see. */
export interface EventLogDouble extends EventLog {
  all: StoredEvent[];
  /** How many subscriptions are open. */
  open: number;
  /** How many events subscribers have taken. */
  taken: number;
  /** Forgets the events up to this id. */
  prune(upTo: number): void;
}

/** An empty log. */
export function eventLogDouble(): EventLogDouble {
  let lowest = 1;
  let waiting: (() => void)[] = [];
  const wakeAll = (): void => {
    const all = waiting;
    waiting = [];
    for (const wake of all) wake();
  };
  const matches = ({ project, agentId }: EventFilter, one: StoredEvent): boolean =>
    (project === undefined || one.project === project) && (agentId === undefined || one.agentId === agentId);
  const log: EventLogDouble = {
    all: [],
    open: 0,
    taken: 0,
    prune: (upTo) => {
      lowest = upTo + 1;
    },
    append: async (events: readonly NewEvent[]) => {
      const first = log.all.length + 1;
      const stored = events.map((one, at) => ({ ...one, id: first + at, at: new Date() }));
      log.all.push(...stored);
      wakeAll();
      return stored;
    },
    head: async () => log.all.length,
    read: async (filter, { since, limit }) =>
      log.all.filter((one) => one.id > since && one.id >= lowest && matches(filter, one)).slice(0, limit),
    newest: async (filter, { since, limit }) =>
      log.all.filter((one) => one.at >= since && one.id >= lowest && matches(filter, one)).slice(-limit),
    subscribe: (filter, { since, signal }) => {
      const cursor = since ?? log.all.length;
      signal.addEventListener("abort", wakeAll);
      return follow(filter, cursor, signal);
    },
  };
  async function* follow(filter: EventFilter, since: number, signal: AbortSignal): AsyncGenerator<Feed> {
    log.open += 1;
    let cursor = since;
    try {
      if (cursor > log.all.length) {
        yield { kind: "gap", from: log.all.length + 1, to: cursor, reason: `the log ends at ${log.all.length}` };
        cursor = log.all.length;
      } else if (cursor + 1 < lowest) {
        yield { kind: "gap", from: cursor + 1, to: lowest - 1, reason: "these events are not kept any more" };
        cursor = lowest - 1;
      }
      while (!signal.aborted) {
        const event = log.all[cursor];
        if (event === undefined) await new Promise<void>((resolve) => waiting.push(resolve));
        else {
          cursor = event.id;
          if (!matches(filter, event)) continue;
          log.taken += 1;
          yield { kind: "event", event };
        }
      }
    } finally {
      log.open -= 1;
    }
  }
  return log;
}
