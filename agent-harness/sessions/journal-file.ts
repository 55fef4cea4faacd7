import { closeSync, fdatasync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { errorText } from "../shared/errors.ts";
import type { JournalRecord } from "./journal.ts";

/*
 * The writing end of a journal; journal-reader.ts has the other. A record is one write to the file, so whoever is killed, at
 * most the last line is torn, and the next writer cuts that off. Imports nothing heavy: each keeper holds it in memory.
 */

/** What a record says, before it has its number and time. */
export type NewRecord = {
  [From in JournalRecord["from"]]: Omit<Extract<JournalRecord, { from: From }>, "n" | "at">;
}[JournalRecord["from"]];

/** What a new writer has to know of what is in the journal already. */
type Known = Extract<JournalRecord, { from: "stdin" | "file" }>;

/** How long nothing is written before all of it is made safe against a power cut, in ms; and how long at most. */
const restMs = 300;
const mostMs = 5000;
const blockBytes = 1024 * 1024;
/** How often a write is tried again that the disk refused, in ms. */
const retryMs = 500;

const head = /^\{"n":(\d+),"at":[\d.]+,"from":"(\w+)"/;

/** A journal that is open for writing. There may be one writer of it at a time. */
export class JournalFile {
  readonly #file: number;
  #records: number;
  /** What the disk has refused so far. */
  #refused: Buffer[] = [];
  #retry: NodeJS.Timeout | undefined;
  #sync: NodeJS.Timeout | undefined;
  #dirtySince: number | undefined;
  readonly #onRefused: (why: string | undefined) => void;

  private constructor(file: number, records: number, onRefused: (why: string | undefined) => void) {
    this.#file = file;
    this.#records = records;
    this.#onRefused = onRefused;
  }

  /**
   * Opens a journal, or begins one. `onKnown` gets each record of it that says what was written or read so far; `onRefused`
   * hears why the disk takes nothing more, and undefined once it does again.
   */
  static open(
    path: string,
    onKnown: (record: Known) => void = () => undefined,
    onRefused: (why: string | undefined) => void = () => undefined,
  ): JournalFile {
    const file = openSync(path, "a+", 0o600);
    const { records, end } = scan(file, onKnown);
    // A line that a crash tore, or that a power cut left without its bytes.
    if (end < fstatSync(file).size) ftruncateSync(file, end);
    return new JournalFile(file, records, onRefused);
  }

  /** The number of the last record. */
  get records(): number {
    return this.#records;
  }

  /** Whether the disk refuses what is to be written; it is kept and tried again. */
  get isRefused(): boolean {
    return this.#refused.length > 0;
  }

  /** Appends records, in this order. */
  append(...records: readonly NewRecord[]): void {
    if (records.length === 0) return;
    const at = Date.now();
    const lines = records.map((record) => {
      this.#records += 1;
      return `${JSON.stringify({ n: this.#records, at, ...record })}\n`;
    });
    this.#refused.push(Buffer.from(lines.join("")));
    if (this.#retry === undefined) this.#write();
  }

  /** Makes all that was written safe against a power cut, and closes the file. What the disk still refuses is lost, and said. */
  async close(): Promise<string | undefined> {
    clearTimeout(this.#retry);
    clearTimeout(this.#sync);
    const why = this.#tryToWrite();
    await this.#toDisk();
    closeSync(this.#file);
    return why;
  }

  #write(): void {
    const wasRefused = this.#retry !== undefined;
    const why = this.#tryToWrite();
    this.#retry = undefined;
    if (why === undefined) {
      if (wasRefused) this.#onRefused(undefined);
    } else {
      this.#retry = setTimeout(() => this.#write(), retryMs);
      if (!wasRefused) this.#onRefused(why);
    }
    this.#syncAtRest();
  }

  /** Writes what there is to be written; says why some of it could not be. */
  #tryToWrite(): string | undefined {
    try {
      for (let [first] = this.#refused; first !== undefined; [first] = this.#refused) {
        const written = writeSync(this.#file, first);
        // A disk that fills up takes a part of a line: the rest has to follow it, and nothing else.
        if (written < first.length) this.#refused[0] = first.subarray(written);
        else this.#refused.shift();
      }
      return undefined;
    } catch (error) {
      return errorText(error);
    }
  }

  #syncAtRest(): void {
    const now = Date.now();
    this.#dirtySince ??= now;
    clearTimeout(this.#sync);
    const wait = Math.max(0, Math.min(restMs, this.#dirtySince + mostMs - now));
    this.#sync = setTimeout(() => void this.#toDisk(), wait);
  }

  #toDisk(): Promise<void> {
    this.#dirtySince = undefined;
    // What it could not do it does at the next write, or never: the lines are written all the same.
    return new Promise((resolve) => fdatasync(this.#file, () => resolve()));
  }
}

/** Goes over a journal once: the number of its last record, and where that ends. */
function scan(file: number, onKnown: (record: Known) => void): { records: number; end: number } {
  const block = Buffer.allocUnsafe(blockBytes);
  let parts: Buffer[] = [];
  let records = 0;
  let end = 0;
  let position = 0;
  for (
    let got = readSync(file, block, 0, blockBytes, 0);
    got > 0;
    got = readSync(file, block, 0, blockBytes, position)
  ) {
    let from = 0;
    for (let at = block.indexOf(10); at !== -1 && at < got; at = block.indexOf(10, from)) {
      const line = Buffer.concat([...parts, block.subarray(from, at)]);
      parts = [];
      from = at + 1;
      const [, number, kind] = head.exec(line.toString("latin1", 0, 80)) ?? [];
      // 125 is `}`: a line whose end a power cut took is no record.
      if (number === undefined || line.at(-1) !== 125) continue;
      records = Number(number);
      end = position + from;
      if (kind === "stdin" || kind === "file") onKnown(JSON.parse(line.toString("utf8")) as Known);
    }
    if (from < got) parts.push(Buffer.from(block.subarray(from, got)));
    position += got;
  }
  return { records, end };
}
