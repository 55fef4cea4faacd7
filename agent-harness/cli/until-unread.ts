import { errorNumber } from "../shared/errors.ts";

/** Ends when whoever reads our stdout has gone, as `head` does: no error, but the end of an output that goes on. */
export function untilUnread(): AbortSignal {
  const ended = new AbortController();
  process.stdout.on("error", (error) => {
    if (errorNumber(error) !== "EPIPE") throw error;
    ended.abort();
  });
  return ended.signal;
}
