import { open, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { errorNumber } from "../shared/errors.ts";
import type { LedgerProcess } from "./ledger.ts";

/** One line of a process's log. */
export interface LogLine {
  process: string;
  line: string;
}

/** A log's end is read in one piece; no more than this of it, in bytes. */
const tailBytes = 1024 * 1024;

/** The last lines of each process's log. */
export async function readLogs(processes: readonly LedgerProcess[], lines: number): Promise<LogLine[]> {
  const logs = await Promise.all(processes.map((one) => tail(one, lines)));
  return logs.flat();
}

async function tail({ process, logFile }: LedgerProcess, lines: number): Promise<LogLine[]> {
  const size = await sizeOf(logFile);
  const text = await readFrom(logFile, Math.max(0, size - tailBytes), size);
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  return (lines === 0 ? [] : all.slice(-lines)).map((line) => ({ process, line }));
}

/** Gives each new line of the logs from now on, until the signal ends it. */
export async function followLogs(
  processes: readonly LedgerProcess[],
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<void> {
  await Promise.all(processes.map((one) => follow(one, signal, onLine)));
}

async function follow(
  { process, logFile }: LedgerProcess,
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<void> {
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
      for (const line of lines) onLine({ process, line });
    }
    await delay(150, undefined, { signal }).catch(() => undefined);
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    // A process that never printed anything has no log yet.
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
