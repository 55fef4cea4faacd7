/*
 * PM2 can write a log as records: one JSON document a line for each piece of output, with the time at which it came
 * (`log_type: json`). Its other way to tell the time, a date before each line, loses what of a piece stands behind the last
 * end of line.
 */

/** One line that a program printed. */
export interface LogEntry {
  line: string;
  /** When its end came, ms since 1970; absent where the log does not say. */
  time?: number;
  stream?: "out" | "err";
}

/** Turns a log's own lines into those that the program printed. */
export interface Decode {
  line: (text: string) => LogEntry[];
  /** What was printed without an end of line so far; `unfinished` is the end of the log itself, which may still be written. */
  rest: (unfinished: string) => LogEntry[];
}

/** For a log of plain text. */
export const decodePlain = (): Decode => ({ line: (line) => [{ line }], rest: plainRest });

const plainRest = (unfinished: string): LogEntry[] => (unfinished === "" ? [] : [{ line: unfinished }]);

/** A line that goes on longer than this is taken as it is. */
const longestLine = 1024 * 1024;

/**
 * For a log of records. A line of plain text in it, which an earlier version has written, is taken as it is. Each stream
 * is put together by itself, as its pieces may end anywhere in a line.
 */
export function decodeRecords(): Decode {
  const begun = new Map<"out" | "err", LogEntry>();
  const take = ({ message, stream, time }: Piece): LogEntry[] => {
    const lines = ((begun.get(stream)?.line ?? "") + message).split("\n");
    const last = lines.pop() ?? "";
    if (last !== "" && last.length < longestLine) begun.set(stream, { line: last, time, stream });
    else begun.delete(stream);
    const whole = last.length < longestLine ? lines : [...lines, last];
    return whole.map((line) => ({ line, time, stream }));
  };
  return {
    line: (text) => {
      const piece = readPiece(text);
      return piece === undefined ? [{ line: text }] : take(piece);
    },
    rest: (unfinished) => [...begun.values(), ...(unfinished.startsWith(recordStart) ? [] : plainRest(unfinished))],
  };
}

const recordStart = '{"message":';

interface Piece {
  message: string;
  stream: "out" | "err";
  time: number;
}

function readPiece(text: string): Piece | undefined {
  if (!text.startsWith(recordStart) || !text.endsWith("}")) return undefined;
  try {
    const { message, timestamp, type, process_id, app_name } = JSON.parse(text) as Record<string, unknown>;
    if (typeof process_id !== "number" || typeof app_name !== "string") return undefined;
    if (typeof message !== "string" || (type !== "out" && type !== "err")) return undefined;
    const time = Date.parse(String(timestamp));
    return Number.isNaN(time) ? undefined : { message, stream: type, time };
  } catch {
    // Plain text that looks like a record at its ends.
    return undefined;
  }
}
