import { statSync } from "node:fs";

/** A fact that is asked for in the background, and known as of its last answer. */
export interface Aged<T> {
  /** What is known; asks again behind the caller's back when that is too old. */
  get: () => T | undefined;
  /** Makes the next `get` ask again, whatever the age. */
  expire: () => void;
  /** Comes back when what was asked by now has been answered. */
  settled: () => Promise<void>;
}

/** Keeps a fact no older than `maxMs`, as long as it is looked at; one question at a time. What fails counts as not known. */
export function aged<T>(maxMs: number, ask: () => Promise<T>): Aged<T> {
  let known: T | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  const refresh = async (): Promise<void> => {
    known = await ask().catch(() => undefined);
    asking = undefined;
  };
  return {
    get: () => {
      if (asking === undefined && performance.now() - askedAt >= maxMs) {
        askedAt = performance.now();
        asking = refresh();
      }
      return known;
    },
    expire: () => {
      askedAt = Number.NEGATIVE_INFINITY;
    },
    settled: async () => await asking,
  };
}

/** A fact that is read from a file or folder: again when that has changed since, or after `maxMs` all the same. */
export function readWhenChanged<T>(path: string, maxMs: number, read: () => Promise<T>): () => Promise<T> {
  let known: { stamp: string; at: number; value: T } | undefined;
  return async () => {
    // Not waited for: this is asked for many files each second, and a promise would cost more than the answer.
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    const stamp = found === undefined ? "" : `${found.ino} ${found.mtimeNs} ${found.size}`;
    const at = performance.now();
    if (known === undefined || known.stamp !== stamp || at - known.at >= maxMs)
      known = { stamp, at, value: await read() };
    return known.value;
  };
}

/** Lets at most `limit` pieces of work run at once; the others wait for their turn. */
export function turnstile(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // Whoever waits takes this place over.
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
