import { open, rename, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { errorNumber } from "./errors.ts";
import { type Decode, decodePlain, type LogEntry } from "./log-record.ts";

/** How much of a log's end is read at first, in bytes; more when that is not enough. */
const firstBytes = 256 * 1024;
/** More of a log is never read for one question; what goes beyond is said. */
const mostBytes = 128 * 1024 * 1024;
/** How much of a growing log is taken at a time, and the longest line that is waited for. */
const blockBytes = 4 * 1024 * 1024;
/** How often a log that is followed is looked at, in ms. */
const pollMs = 150;

export interface LogQuestion {
  /** The last so many lines. (Default: all) */
  lines?: number | undefined;
  /** Those printed at or after this time, ms since 1970. */
  since?: number | undefined;
  /** Without a line that has no end yet: who goes on to follow gets it whole. */
  whole?: boolean | undefined;
}

/** What a log holds, and a way to go on from there. */
export interface OpenLog {
  entries: LogEntry[];
  /** How many lines were left out because nothing says whether they were printed since then. */
  untimed: number;
  /** The log is larger than what is read of one, and more of it may have been asked for. */
  cut: boolean;
  /** Gives each line that is printed from there on, none twice and none left out, until the signal ends it. */
  follow: (signal: AbortSignal, onEntry: (entry: LogEntry) => void) => Promise<void>;
}

/** Opens a log at its end. One that is not there is that of a program that never printed anything. */
export async function openLog(
  file: string,
  question: LogQuestion,
  decoder: () => Decode = decodePlain,
): Promise<OpenLog> {
  const { size, mtimeMs, inode } = await look(file);
  for (let bytes = firstBytes; ; bytes *= 4) {
    const from = Math.max(0, size - Math.min(bytes, mostBytes));
    const text = await readFrom(file, from, size);
    // The first line of a piece is the end of one.
    const start = from === 0 ? 0 : text.indexOf(10) + 1;
    const end = text.lastIndexOf(10) + 1;
    const decode = decoder();
    const entries = start < end ? linesOf(text.subarray(start, end)).flatMap((line) => decode.line(line)) : [];
    const whole = from === 0;
    if (!whole && bytes < mostBytes && !isEnough(entries, question)) continue;
    const follow: OpenLog["follow"] = async (signal, onEntry) =>
      await followFrom({ file, inode, position: from + end, decode }, signal, onEntry);
    const last = question.whole ? [] : decode.rest(text.subarray(end).toString("utf8"));
    const found = choose([...entries, ...last], question, mtimeMs);
    return { ...found, cut: !whole && !isEnough(entries, question), follow };
  }
}

/** The last lines of a plain log. */
export async function lastLines(logFile: string, count: number): Promise<string[]> {
  return (await openLog(logFile, { lines: count })).entries.map((one) => one.line);
}

/** Gives each new line of a plain log from now on, until the signal ends it. */
export async function followLines(logFile: string, signal: AbortSignal, onLine: (line: string) => void): Promise<void> {
  const { follow } = await openLog(logFile, { lines: 0, whole: true });
  await follow(signal, ({ line }) => onLine(line));
}

/** How large a log may have become before its program is started anew, in bytes. */
const largeBytes = 64 * 1024 * 1024;

/** Sets a log aside that has become large, in place of the one set aside before. Nobody may be writing to it. */
export async function setLargeLogAside(file: string): Promise<void> {
  if ((await look(file)).size > largeBytes) await rename(file, `${file}.1`);
}

function isEnough(entries: readonly LogEntry[], { lines, since }: LogQuestion): boolean {
  if (since !== undefined) return entries.some(({ time }) => time !== undefined && time < since);
  return lines !== undefined && entries.length >= lines;
}

/** The lines that were asked for. One that carries no time is taken or left by those around it, where they tell. */
function choose(
  entries: readonly LogEntry[],
  { lines, since }: LogQuestion,
  written: number,
): Pick<OpenLog, "entries" | "untimed"> {
  const cut = (all: readonly LogEntry[]): LogEntry[] =>
    lines === 0 ? [] : all.slice(lines === undefined ? 0 : -lines);
  if (since === undefined) return { entries: cut(entries), untimed: 0 };
  const first = entries.findIndex(({ time }) => time !== undefined && time >= since);
  if (first !== -1) {
    const before = entries.slice(0, first).findLastIndex(({ time }) => time !== undefined);
    return { entries: cut(entries.slice(first)), untimed: first - before - 1 };
  }
  // Whatever stands behind the last line with a time may be newer than it; nothing is newer than the file.
  const last = entries.findLastIndex(({ time }) => time !== undefined);
  return { entries: [], untimed: written < since ? 0 : entries.length - last - 1 };
}

interface Place {
  file: string;
  inode: number;
  position: number;
  decode: Decode;
}

async function followFrom(
  { file, inode, position, decode }: Place,
  signal: AbortSignal,
  onEntry: (entry: LogEntry) => void,
): Promise<void> {
  let known = inode;
  let from = position;
  while (!signal.aborted) {
    const now = await look(file);
    // Emptied or replaced: from its beginning.
    if (now.size < from || (known !== 0 && now.inode !== known)) from = 0;
    known = now.inode;
    const text = await readFrom(file, from, Math.min(now.size, from + blockBytes));
    // What has no end yet is read again with its end: it may stop inside a letter.
    const end = text.length === blockBytes ? text.length : text.lastIndexOf(10) + 1;
    const lines = end === 0 ? [] : linesOf(text.subarray(0, end));
    for (const entry of lines.flatMap((line) => decode.line(line))) onEntry(entry);
    from += end;
    if (end === 0 || from >= now.size) await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

const linesOf = (text: Buffer): string[] => text.toString("utf8").replace(/\n$/, "").split("\n");

async function look(file: string): Promise<{ size: number; mtimeMs: number; inode: number }> {
  try {
    const { size, mtimeMs, ino } = await stat(file);
    return { size, mtimeMs, inode: ino };
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return { size: 0, mtimeMs: 0, inode: 0 };
    throw error;
  }
}

const nothing = Buffer.alloc(0);

async function readFrom(file: string, from: number, to: number): Promise<Buffer> {
  if (to <= from) return nothing;
  try {
    const handle = await open(file, "r");
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - from), 0, to - from, from);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    // Deleted since it was looked at.
    if (errorNumber(error) === "ENOENT") return nothing;
    throw error;
  }
}
