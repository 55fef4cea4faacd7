import { setTimeout as delay } from "node:timers/promises";
import { openLog } from "../shared/log-file.ts";
import { decodeRecords, type LogEntry } from "../shared/log-record.ts";
import type { Ledger, LedgerProcess } from "./ledger.ts";

/** The log of one process of one agent. */
export interface LogSource {
  agent: number;
  process: string;
  logFile: string;
}

/** One line of a process's log. */
export interface LogLine {
  agent: number;
  process: string;
  line: string;
  /** When it was printed; absent where the log does not say. */
  time?: string;
  stream?: "out" | "err";
}

export interface LogsQuestion {
  /** The last so many lines of each process. (Default: all) */
  lines?: number | undefined;
  /** Those printed at or after this time, ms since 1970. */
  since?: number | undefined;
  /** Without a line that has no end yet: who goes on to follow gets it whole. */
  whole?: boolean;
}

/** The logs of several processes, read together. */
export interface OpenLogs {
  /** In the order in which they were printed, as far as the logs tell. */
  lines: LogLine[];
  /** What of the answer is missing, in words. */
  gaps: string[];
  /** Gives each line that is printed from there on, until the signal ends it; `find` is asked now and then for logs that are new. */
  follow: (
    signal: AbortSignal,
    onLine: (line: LogLine) => void,
    find?: () => Promise<readonly LogSource[]>,
  ) => Promise<void>;
}

/** The logs of processes of a stack. */
export const logSources = ({ id }: Pick<Ledger, "id">, processes: readonly LedgerProcess[]): LogSource[] =>
  processes.map(({ process, logFile }) => ({ agent: id, process, logFile }));

/** The last lines of one process of a stack, as it printed them. */
export async function lastLinesOf(logFile: string, count: number): Promise<string[]> {
  return (await openLog(logFile, { lines: count }, decodeRecords)).entries.map((one) => one.line);
}

/** Reads the logs of several processes. */
export async function openLogs(sources: readonly LogSource[], question: LogsQuestion): Promise<OpenLogs> {
  const logs = await Promise.all(
    sources.map(async (source) => ({ source, log: await openLog(source.logFile, question, decodeRecords) })),
  );
  return {
    lines: inOrder(logs.map(({ source, log }) => log.entries.map((entry) => ({ source, entry })))),
    gaps: logs.flatMap(({ source: { agent, process }, log }) => [
      ...(log.untimed === 0 ? [] : [untimedText(agent, process, log.untimed)]),
      ...(log.cut ? [`agent ${agent} ${process}: its log is too long; only its end was looked at`] : []),
    ]),
    follow: async (signal, onLine, find) => {
      const following = logs.map(({ source, log }) => log.follow(signal, (entry) => onLine(lineOf(source, entry))));
      if (find !== undefined) following.push(followNew(sources, find, signal, onLine));
      await Promise.all(following);
    },
  };
}

function untimedText(agent: number, process: string, count: number): string {
  const lines = count === 1 ? "1 line carries" : `${count} lines carry`;
  return `agent ${agent} ${process}: ${lines} no time and may be newer, but cannot be placed; see them without --since`;
}

/** How often it is looked for logs that are new, in ms. */
const newLogsMs = 1000;

/** Logs that were not there at the beginning, from their first line on. */
async function followNew(
  known: readonly LogSource[],
  find: () => Promise<readonly LogSource[]>,
  signal: AbortSignal,
  onLine: (line: LogLine) => void,
): Promise<void> {
  const seen = new Set(known.map((one) => one.logFile));
  const following: Promise<void>[] = [];
  while (!signal.aborted) {
    for (const source of (await find()).filter((one) => !seen.has(one.logFile))) {
      seen.add(source.logFile);
      const log = await openLog(source.logFile, {}, decodeRecords);
      for (const entry of log.entries) onLine(lineOf(source, entry));
      following.push(log.follow(signal, (entry) => onLine(lineOf(source, entry))));
    }
    await delay(newLogsMs, undefined, { signal }).catch(() => undefined);
  }
  await Promise.all(following);
}

interface Placed {
  source: LogSource;
  entry: LogEntry;
}

/** By time; a line without one stays behind the line before it in its own log. */
function inOrder(logs: readonly (readonly Placed[])[]): LogLine[] {
  const placed = logs.flatMap((log) => {
    let at = Number.NEGATIVE_INFINITY;
    return log.map((one) => {
      at = Math.max(at, one.entry.time ?? at);
      return { ...one, at };
    });
  });
  // Equal times stay as they are: sorting keeps the order of what is equal. Two infinities have no difference.
  placed.sort((a, b) => (a.at === b.at ? 0 : a.at - b.at));
  return placed.map(({ source, entry }) => lineOf(source, entry));
}

const lineOf = ({ agent, process }: LogSource, { line, time, stream }: LogEntry): LogLine => ({
  agent,
  process,
  line,
  ...(time === undefined ? {} : { time: new Date(time).toISOString() }),
  ...(stream === undefined ? {} : { stream }),
});
