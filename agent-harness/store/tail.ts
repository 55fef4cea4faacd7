import { setTimeout as delay } from "node:timers/promises";
import { type EventWindow, openWindow } from "./event-window.ts";
import { type Listening, openListening } from "./listening.ts";
import { readBounds, readEvents } from "./read-events.ts";
import { explain, type StorePlace } from "./sql.ts";

/** Follows the end of the log for all subscribers of this process, on one connection. */
export interface Tail {
  window: EventWindow;
  /** Rises when the log was found shorter than it had been: the server lost commits, or another database took its place. */
  readonly rewound: number;
  /** Returns when the window has a head. STORE_UNAVAILABLE when it cannot; once it could, it comes back by itself. */
  start(): Promise<void>;
  readonly closed: boolean;
  /** Calls once, when there may be something new. */
  wait(wake: () => void): void;
  /** Takes that back. */
  unwait(wake: () => void): void;
  close(): Promise<void>;
}

/** How many events are read at a time. */
const batch = 500;

/** How long is waited before the connection is made again, in ms: doubled up to the second one. */
const pauses = { first: 50, longest: 2000 } as const;

/** After how long is looked without a notice, in ms: a connection may be dead without saying so. */
const lookMs = 10_000;

/** Nothing is connected before the first start. */
export function openTail(place: StorePlace): Tail {
  return new RunningTail(place);
}

class RunningTail implements Tail {
  readonly window = openWindow();
  rewound = 0;
  readonly #place: StorePlace;
  readonly #waiting = new Set<() => void>();
  readonly #closing = new AbortController();
  #listening: Listening | undefined;
  #started: Promise<void> | undefined;
  #coming: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  #isReading = false;
  #news = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(place: StorePlace) {
    this.#place = place;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  start(): Promise<void> {
    this.#started ??= this.#connect().catch((error: unknown) => {
      this.#started = undefined;
      throw explain(this.#place, error);
    });
    return this.#started;
  }

  wait(wake: () => void): void {
    if (this.closed) wake();
    else this.#waiting.add(wake);
  }

  unwait(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#timer);
    this.#wake();
    await this.#started?.catch(() => undefined);
    await this.#coming;
    await this.#listening?.close();
    await this.#reading;
  }

  async #connect(): Promise<void> {
    const listening = await openListening(this.#place, "agent_harness_events", {
      notice: () => this.#look(),
      lost: () => this.#lost(listening),
    });
    try {
      const { head } = await readBounds(listening);
      if (head < this.window.head) this.rewound += 1;
      // Those who waited read from the table what came meanwhile.
      this.window.reset(head);
    } catch (error) {
      await listening.close();
      throw error;
    }
    this.#listening = listening;
    this.#timer ??= setInterval(() => this.#look(), lookMs).unref();
    this.#wake();
    this.#look();
  }

  #look(): void {
    this.#news = true;
    if (!this.#isReading) this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    while (this.#news && this.#listening !== undefined) {
      const listening = this.#listening;
      this.#news = false;
      try {
        const { events } = await readEvents(listening, {}, { since: this.window.head, limit: batch });
        this.window.push(events);
        if (events.length === batch) this.#news = true;
        if (events.length > 0) this.#wake();
      } catch {
        // Whatever it was: a new connection begins anew.
        this.#lost(listening);
      }
    }
    // Not in a `finally` of the promise: a look that comes in between would find nobody to do it.
    this.#isReading = false;
  }

  #lost(listening: Listening): void {
    if (listening !== this.#listening) return;
    this.#listening = undefined;
    this.#coming = this.#comeBack(listening);
  }

  async #comeBack(dead: Listening): Promise<void> {
    // Not waited for: a server that hangs would not answer that either.
    dead.close().catch(() => undefined);
    for (let pause: number = pauses.first; !this.closed; pause = Math.min(pause * 2, pauses.longest)) {
      try {
        await this.#connect();
        return;
      } catch {
        // Still away. Cut short when the store is closed.
        await delay(pause, undefined, { signal: this.#closing.signal }).catch(() => undefined);
      }
    }
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
