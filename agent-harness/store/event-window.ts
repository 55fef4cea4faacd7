import type { StoredEvent } from "./event.ts";
import type { SizedEvent } from "./read-events.ts";

/** The newest events, in memory once for all subscribers; whoever is further behind reads the table. */
export interface EventWindow {
  /** The newest id that is known. */
  readonly head: number;
  /** Adds what comes after the head; older events go when there are too many, or they are too large together. */
  push(events: readonly SizedEvent[]): void;
  /** Forgets all, and begins after this id. */
  reset(head: number): void;
  /** At most `limit` events after `cursor`; undefined when some of them are not here any more. */
  after(cursor: number, limit: number): readonly StoredEvent[] | undefined;
}

/** How much is held: so many events, and so many characters of JSON. */
export interface WindowLimits {
  events: number;
  sizeBytes: number;
}

/** An empty window. */
export function openWindow(limits: WindowLimits = { events: 4096, sizeBytes: 8 * 1024 * 1024 }): EventWindow {
  let held: SizedEvent[] = [];
  let head = 0;
  let sizeBytes = 0;
  const reset = (to: number): void => {
    held = [];
    sizeBytes = 0;
    head = to;
  };
  const shrink = (): void => {
    let gone = 0;
    // Half of the room at a time, so that not every push moves the whole array.
    const full = held.length > limits.events || sizeBytes > limits.sizeBytes;
    const over = (): boolean => held.length - gone > limits.events / 2 || sizeBytes > limits.sizeBytes / 2;
    while (full && over()) {
      sizeBytes -= held[gone]?.sizeBytes ?? 0;
      gone += 1;
    }
    if (gone > 0) held = held.slice(gone);
  };
  return {
    get head() {
      return head;
    },
    reset,
    push: (events) => {
      const [first] = events;
      // Some in between were deleted before we came to read them.
      if (first !== undefined && first.event.id !== head + 1) reset(first.event.id - 1);
      for (const one of events) {
        held.push(one);
        sizeBytes += one.sizeBytes;
        head = one.event.id;
      }
      shrink();
    },
    after: (cursor, limit) => {
      if (cursor >= head) return [];
      const from = cursor - (head - held.length);
      return from < 0 ? undefined : held.slice(from, from + limit).map((one) => one.event);
    },
  };
}
