import { setTimeout as delay } from "node:timers/promises";
import type { EventFilter, Feed } from "./event.ts";
import { matches, readBounds, readEvents } from "./read-events.ts";
import { isUnavailable, type Sql } from "./sql.ts";
import type { Tail } from "./tail.ts";

/** How many events a subscriber holds at most while it is slow. */
const batch = 250;

/** How long is waited before a read that failed is tried again, in ms. */
const pauseMs = 250;

/** What a subscriber wants. */
export interface Subscription {
  filter: EventFilter;
  since: number | undefined;
  signal: AbortSignal;
}

type Gap = Extract<Feed, { kind: "gap" }>;

/**
 * Events in order, none lost or doubled. There is no moment between replay and what is live: a subscriber has a position in
 * the log and asks for what comes after it, memory first, the table where memory does not reach back far enough.
 */
export function subscribe(sql: Sql, tail: Tail, subscription: Subscription): AsyncIterable<Feed> {
  // Now, not when the first event is asked for: "new" is from here on.
  const begin = findStart(sql, tail, subscription.since);
  begin.catch(() => undefined);
  return follow(sql, tail, subscription, begin);
}

interface Start {
  cursor: number;
  gap?: Gap;
}

async function findStart(sql: Sql, tail: Tail, since: number | undefined): Promise<Start> {
  await tail.start();
  const { head, lowest } = await readBounds(sql);
  if (since === undefined) return { cursor: head };
  if (since > head) return { cursor: head, gap: beyondHead(head, since) };
  return since + 1 < lowest ? { cursor: lowest - 1, gap: pruned(since, lowest) } : { cursor: since };
}

const pruned = (since: number, lowest: number): Gap => ({
  kind: "gap",
  from: since + 1,
  to: lowest - 1,
  reason: "these events are not kept any more",
});

const beyondHead = (head: number, since: number): Gap => ({
  kind: "gap",
  from: head + 1,
  to: since,
  reason: `the log ends at ${head}: these events are not in it`,
});

async function* follow(
  sql: Sql,
  tail: Tail,
  { filter, signal }: Subscription,
  begin: Promise<Start>,
): AsyncGenerator<Feed> {
  const { cursor: first, gap } = await begin;
  let cursor = first;
  let { rewound } = tail;
  if (gap !== undefined) yield gap;
  const waiter = openWaiter(tail, signal);
  try {
    while (!signal.aborted && !tail.closed) {
      if (rewound !== tail.rewound) {
        ({ rewound } = tail);
        const { head } = tail.window;
        if (cursor > head) {
          yield beyondHead(head, cursor);
          cursor = head;
        }
      }
      const chunk = tail.window.after(cursor, batch);
      if (chunk === undefined) {
        const read = await readOn(sql, filter, cursor, tail.window.head, signal);
        for (const feed of read.feeds) {
          if (signal.aborted) return;
          yield feed;
        }
        cursor = read.cursor;
      } else if (chunk.length === 0) {
        await waiter.wait();
      } else {
        for (const event of chunk) {
          if (signal.aborted) return;
          cursor = event.id;
          if (matches(filter, event)) yield { kind: "event", event };
        }
      }
    }
  } finally {
    waiter.close();
  }
}

/** What the table has after the cursor, up to what is in memory; nothing yet while Postgres is away. */
async function readOn(
  sql: Sql,
  filter: EventFilter,
  cursor: number,
  upTo: number,
  signal: AbortSignal,
): Promise<{ feeds: Feed[]; cursor: number }> {
  try {
    const { events, lowest } = await readEvents(sql, filter, { since: cursor, limit: batch, upTo });
    const gap = cursor + 1 < lowest ? [pruned(cursor, lowest)] : [];
    const last = events.length === batch ? (events.at(-1)?.event.id ?? upTo) : upTo;
    return {
      feeds: [...gap, ...events.map(({ event }): Feed => ({ kind: "event", event }))],
      cursor: Math.max(last, lowest - 1),
    };
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    return { feeds: [], cursor };
  }
}

/** Waits for the tail or the end of the subscription, with one listener on the signal however often it waits. */
function openWaiter(tail: Tail, signal: AbortSignal): { wait: () => Promise<void>; close: () => void } {
  let wake = (): void => undefined;
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  return {
    wait: () =>
      new Promise((resolve) => {
        wake = resolve;
        if (signal.aborted) resolve();
        else tail.wait(resolve);
      }),
    close: () => {
      signal.removeEventListener("abort", onAbort);
      tail.unwait(wake);
    },
  };
}
