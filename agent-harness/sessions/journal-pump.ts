import { type ReadRecord, readJournal } from "./journal-reader.ts";

/** Reads a journal ahead, so far as there is room, and tells when there is something. */
export class JournalPump {
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  readonly #queue: ReadRecord[] = [];
  #room: () => void = () => undefined;
  #failure: unknown;

  constructor(path: string, from: number, tell: () => void) {
    this.#done = this.#pump(path, from, tell);
  }

  /** What the journal holds now, from an offset, in batches. */
  static async *rest(path: string, from: number, size: number): AsyncGenerator<ReadRecord[]> {
    let batch: ReadRecord[] = [];
    for await (const one of readJournal(path, { from })) {
      batch.push(one);
      if (batch.length < size) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }

  /** At most so many records that were read and not taken yet. */
  take(size: number): ReadRecord[] {
    if (this.#failure !== undefined) throw this.#failure;
    const taken = this.#queue.splice(0, size);
    this.#room();
    return taken;
  }

  /** Stops to read; what was not taken is forgotten. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#room();
    await this.#done;
  }

  async #pump(path: string, from: number, tell: () => void): Promise<void> {
    const { signal } = this.#stop;
    try {
      for await (const one of readJournal(path, { from, follow: signal })) {
        this.#queue.push(one);
        tell();
        if (this.#queue.length < most) continue;
        await new Promise<void>((resolve) => {
          this.#room = resolve;
          if (signal.aborted) resolve();
        });
      }
    } catch (error) {
      this.#failure = error;
      tell();
    }
  }
}

/** How many records may wait. */
const most = 512;
