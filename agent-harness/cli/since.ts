import { parseDuration } from "../shared/duration.ts";
import { usage } from "./usage.ts";

/** A point in time as `--since` takes it, ms since 1970: so long ago (`90s`, `10m`, `1h30m`, `2d`), or a time. */
export function parseSince(given: unknown, now: Date = new Date()): number | undefined {
  if (given === undefined) return undefined;
  const text = String(given).trim();
  const length = parseDuration(text);
  const time = length === undefined ? pointOf(text, now) : now.getTime() - length;
  if (!Number.isNaN(time)) return time;
  throw usage(
    `--since wants a length of time or a time, not ${JSON.stringify(given)}.`,
    "Such as: --since 10m, --since 2h, --since 14:30, --since 2026-01-31T14:30",
  );
}

/** A date, with or without a time of day, or a time of today; of this machine's zone unless it names another. */
function pointOf(text: string, now: Date): number {
  const [, hours, minutes, seconds = "0"] = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text) ?? [];
  if (hours !== undefined && minutes !== undefined) {
    const valid = Number(hours) < 24 && Number(minutes) < 60 && Number(seconds) < 60;
    return valid ? new Date(now).setHours(Number(hours), Number(minutes), Number(seconds), 0) : Number.NaN;
  }
  const [, date, rest = ""] = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}.*))?$/.exec(text) ?? [];
  // A date alone would be taken for one of Greenwich.
  return date === undefined ? Number.NaN : Date.parse(`${date}T${rest === "" ? "00:00" : rest}`);
}
