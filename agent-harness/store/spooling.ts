import { asHarnessError, type HarnessError } from "../shared/errors.ts";
import { appendOnce } from "./append.ts";
import type { NewEvent, StoredEvent } from "./event.ts";
import type { Pool } from "./pool.ts";
import { newKey, type Spool } from "./spool.ts";
import { isUnavailable } from "./sql.ts";

/** What gets events into the log that may have to wait for Postgres. */
export interface Spooling {
  append(events: readonly NewEvent[]): Promise<StoredEvent[] | undefined>;
  /** Brings what waits into the log; throws STORE_UNAVAILABLE when it has to wait on. */
  drain(): Promise<number>;
  /** Returns at once unless this process has something waiting; then it drains, so that what follows comes after it. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/** How often is looked for files that wait, in ms; those of a process that is gone too. */
const lookMs = 1000;

/** One thing at a time: events get into the log in the order of the calls. */
export function openSpooling(pool: Pool, spool: Spool, report: (problem: HarnessError) => void): Spooling {
  let waiting = false;
  let looking = false;
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
  const put = (key: string, events: readonly NewEvent[]): Promise<StoredEvent[] | undefined> =>
    pool.transaction((sql) => appendOnce(sql, key, events));
  const drain = async (): Promise<number> => {
    const files = await spool.list();
    let drained = 0;
    for (const file of files) if (await drainFile(spool, file, put, report)) drained += 1;
    waiting = false;
    return drained;
  };
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    try {
      await inTurn(drain);
    } catch (error) {
      if (!isUnavailable(error)) report(asHarnessError(error));
    }
    looking = false;
  };
  const timer = setInterval(look, lookMs).unref();
  const append = async (events: readonly NewEvent[]): Promise<StoredEvent[] | undefined> => {
    const key = newKey();
    try {
      if (waiting) await drain();
      return await put(key, events);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      // With the same key: the commit may have happened although nobody told us.
      await spool.write(key, events);
      waiting = true;
      return undefined;
    }
  };
  return {
    append: (events) => (events.length === 0 ? Promise.resolve([]) : inTurn(() => append(events))),
    drain: () => inTurn(drain),
    settle: async () => {
      if (waiting) await inTurn(drain);
    },
    close: async () => {
      clearInterval(timer);
      await last;
    },
  };
}

/** Puts one file into the log and removes it. Killed in between, the next drain finds its key taken. */
async function drainFile(
  spool: Spool,
  file: string,
  put: (key: string, events: readonly NewEvent[]) => Promise<unknown>,
  report: (problem: HarnessError) => void,
): Promise<boolean> {
  try {
    const batch = await spool.read(file);
    // Another process was faster.
    if (batch === undefined) return false;
    await put(batch.key, batch.events);
  } catch (error) {
    const { kind } = asHarnessError(error);
    if (kind === "unavailable") throw error;
    // It would hold up all that comes after it, for ever.
    report(await spool.setAside(file, error));
    return false;
  }
  await spool.remove(file);
  return true;
}
