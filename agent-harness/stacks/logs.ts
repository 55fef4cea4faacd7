import { followLines, lastLines } from "../shared/log-file.ts";
import type { LedgerProcess } from "./ledger.ts";

/** One line of a process's log. */
export interface LogLine {
  process: string;
  line: string;
}

/** The last lines of each process's log. */
export async function readLogs(processes: readonly LedgerProcess[], lines: number): Promise<LogLine[]> {
  const logs = await Promise.all(
    processes.map(async ({ process, logFile }) => (await lastLines(logFile, lines)).map((line) => ({ process, line }))),
  );
  return logs.flat();
}

/** Gives each new line of the logs from now on, until the signal ends it. */
export async function followLogs(
  processes: readonly LedgerProcess[],
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<void> {
  await Promise.all(
    processes.map(({ process, logFile }) => followLines(logFile, signal, (line) => onLine({ process, line }))),
  );
}
