import { open, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { errorNumber } from "./errors.ts";

/** A log's end is read in one piece; no more than this of it, in bytes. */
const tailBytes = 1024 * 1024;

/** The last lines of a log; none of one that is not there, which is that of a program that never printed anything. */
export async function lastLines(logFile: string, count: number): Promise<string[]> {
  const size = await sizeOf(logFile);
  const text = await readFrom(logFile, Math.max(0, size - tailBytes), size);
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  return count === 0 ? [] : all.slice(-count);
}

/** Gives each new line of a log from now on, until the signal ends it. */
export async function followLines(logFile: string, signal: AbortSignal, onLine: (line: string) => void): Promise<void> {
  let position = await sizeOf(logFile);
  let rest = "";
  while (!signal.aborted) {
    const size = await sizeOf(logFile);
    // Emptied or replaced: from its beginning.
    if (size < position) position = 0;
    if (size > position) {
      const lines = (rest + (await readFrom(logFile, position, size))).split("\n");
      rest = lines.pop() ?? "";
      position = size;
      for (const line of lines) onLine(line);
    }
    await delay(150, undefined, { signal }).catch(() => undefined);
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return 0;
    throw error;
  }
}

async function readFrom(file: string, from: number, to: number): Promise<string> {
  if (to <= from) return "";
  const handle = await open(file, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - from), 0, to - from, from);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await handle.close();
  }
}
