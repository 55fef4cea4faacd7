import { parseDuration } from "../shared/duration.ts";
import { HarnessError } from "../shared/errors.ts";

/** A usage error, for what commander cannot see. */
export const usage = (message: string, hint: string): HarnessError => new HarnessError("USAGE", message, { hint });

/** A whole number, 0 or more, that an option wants; what is not given is the usual one. */
export function parseCount(flag: string, given: unknown, usual: number): number {
  if (given === undefined) return usual;
  if (typeof given === "string" && /^\d{1,9}$/.test(given)) return Number(given);
  throw usage(`${flag} wants a whole number, not ${JSON.stringify(given)}.`, `Such as: ${flag} ${usual}`);
}

/** A length of time that an option takes, in ms. */
export function parseLength(flag: string, given: unknown): number {
  const ms = parseDuration(String(given));
  if (ms !== undefined) return ms;
  throw usage(`${flag} wants a length of time, not ${JSON.stringify(given)}.`, `Such as: ${flag} 30m, ${flag} 4h`);
}
