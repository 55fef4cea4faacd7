import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { errorNumber } from "../shared/errors.ts";
import { type JournalRecord, journalRecord } from "./journal.ts";

/** A record, and where in the journal the next one begins: who has done what it means goes on there. */
export interface ReadRecord {
  record: JournalRecord;
  offsetAfter: number;
}

export interface ReadJournal {
  /** Where to begin, as `offsetAfter` said. (Default: the beginning) */
  from?: number;
  /** Waits for more until the signal aborts; without one, reads what there is and ends. */
  follow?: AbortSignal;
}

const blockBytes = 64 * 1024;
/** How often a journal is looked at when nothing told that it grew, in ms: file systems of a network tell nothing. */
const lookMs = 1000;

/** The records of a journal, in order; those of one that is not there yet come with it. Lines that are no records are passed over. */
export async function* readJournal(path: string, { from = 0, follow }: ReadJournal = {}): AsyncGenerator<ReadRecord> {
  using news = follow === undefined ? undefined : new News(path, follow);
  const file = await opened(path, news);
  if (file === undefined) return;
  try {
    let position = await startOf(file, from);
    let parts: Buffer[] = [];
    // One for all reads: a new one for each line of each session leaves the daemon's memory in pieces that it cannot give back.
    const block = Buffer.allocUnsafeSlow(blockBytes);
    for (;;) {
      // Before the look, so that what is written during it is seen by the next one.
      news?.expect();
      const { bytesRead } = await file.read(block, 0, blockBytes, position);
      if (bytesRead === 0) {
        if (news === undefined || !(await news.come())) return;
        // A power cut takes bytes that were read: what comes then comes at the end that is left.
        const { size } = await file.stat();
        if (size < position) [position, parts] = [size, []];
        continue;
      }
      let start = 0;
      for (let end = block.indexOf(10); end !== -1 && end < bytesRead; end = block.indexOf(10, start)) {
        const line = Buffer.concat([...parts, block.subarray(start, end)]).toString("utf8");
        [parts, start] = [[], end + 1];
        const record = parse(line);
        if (record !== undefined) yield { record, offsetAfter: position + start };
      }
      if (start < bytesRead) parts.push(Buffer.from(block.subarray(start, bytesRead)));
      position += bytesRead;
      if (follow?.aborted) return;
    }
  } finally {
    await file.close();
  }
}

function parse(line: string): JournalRecord | undefined {
  try {
    return journalRecord.safeParse(JSON.parse(line)).data;
  } catch {
    // What a power cut left in the middle of it, before the next writer began a new line.
    return undefined;
  }
}

async function opened(path: string, news: News | undefined): Promise<FileHandle | undefined> {
  for (;;) {
    news?.expect();
    try {
      return await open(path, "r");
    } catch (error) {
      if (errorNumber(error) !== "ENOENT") throw error;
      if (news === undefined || !(await news.come())) return undefined;
    }
  }
}

/** A place that lies beyond the end is one before a power cut. */
async function startOf(file: FileHandle, from: number): Promise<number> {
  return Math.min(from, (await file.stat()).size);
}

/** Tells when a file may have grown. */
class News implements Disposable {
  readonly #path: string;
  readonly #signal: AbortSignal;
  #watcher: FSWatcher | undefined;
  #watched: string | undefined;
  #come: (() => void) | undefined;
  #came = false;
  readonly #tell = (): void => {
    this.#came = true;
    this.#come?.();
  };

  constructor(path: string, signal: AbortSignal) {
    this.#path = path;
    this.#signal = signal;
    signal.addEventListener("abort", this.#tell);
  }

  /** From now on what happens is news. */
  expect(): void {
    this.#came = false;
    // Before it is there, its folder tells that it comes.
    if (this.#watched !== this.#path && !this.#watch(this.#path) && this.#watched === undefined) {
      this.#watch(dirname(this.#path));
    }
  }

  #watch(path: string): boolean {
    try {
      const watcher = watch(path, { persistent: false }, this.#tell);
      watcher.on("error", () => undefined);
      this.#watcher?.close();
      [this.#watcher, this.#watched] = [watcher, path];
      return true;
    } catch {
      // Not there yet, or the system watches enough files: it is looked at now and then.
      return false;
    }
  }

  /** Waits for it; false when nobody wants it any more. */
  async come(): Promise<boolean> {
    if (!this.#came && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#watched === undefined ? lookMs / 10 : lookMs);
        this.#come = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#come = undefined;
    }
    return !this.#signal.aborted;
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#tell);
    this.#watcher?.close();
  }
}
