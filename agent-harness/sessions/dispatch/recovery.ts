import { setTimeout as delay } from "node:timers/promises";
import type { Failure, HarnessClient } from "./client.ts";
import { failedWith, failureOf } from "./client.ts";
import type { ErrorLog } from "./error-log.ts";

/** How often a request is sent again, by what it is for; seed 001's guardrails. */
export const maxRetries = { createProject: 2, createAgent: 2, input: 1, other: 2 } as const;

/** How many retries are left; one is shared by all requests that are for the same thing. */
export interface Retries {
  left: number;
}

/** What is done about a failed request. */
export type Remedy = "refresh_token" | "retry" | "give_up";

/** Seed 001's recovery table. What nobody answered is asked again too: keys see to it that nothing is done twice. */
export function remedyFor({ status, code }: Pick<Failure, "status" | "code">): Remedy {
  if (status === 401) return "refresh_token";
  // The machine lacks something: no request can help.
  if (code === "TMUX_UNAVAILABLE") return "give_up";
  if (status === undefined || status === 429 || status >= 500) return "retry";
  return "give_up";
}

export interface Recovery {
  client: Pick<HarnessClient, "refreshToken">;
  errors: ErrorLog;
  /** The pause before the first retry; the next ones are twice as long each, up to `maxBackoff` times that. */
  backoffMs: number;
  /** Aborted when no time is left: then nothing is tried again. */
  signal: AbortSignal;
}

const maxBackoff = 8;

export interface Attempted {
  /** What it is for, as errors[] says it: `create the project shop`. */
  doing: string;
  agentId?: string | undefined;
  retries: Retries;
  /** Codes that the caller knows what to do about; they are no errors. */
  expected?: readonly string[];
}

/** Sends a request, again where the table says so, and notes every failure; throws the last one. */
export async function withRecovery<T>(recovery: Recovery, what: Attempted, send: () => Promise<T>): Promise<T> {
  let refreshed = false;
  for (let retry = 0; ; ) {
    try {
      const result = await send();
      recovery.errors.recovered(what);
      return result;
    } catch (thrown) {
      const failure = failureOf(thrown);
      if (failure === undefined || failedWith(thrown, ...(what.expected ?? []))) throw thrown;
      recovery.errors.note({ ...what, ...failure });
      const remedy = remedyFor(failure);
      if (remedy === "refresh_token" && !refreshed) {
        refreshed = true;
        await recovery.client.refreshToken();
      } else if (remedy === "retry" && what.retries.left > 0 && !recovery.signal.aborted) {
        what.retries.left -= 1;
        await pause(recovery, retry);
        retry += 1;
      } else throw thrown;
    }
  }
}

/** The pause before the retry with this number, from 0. Ends early when no time is left. */
export async function pause(
  { backoffMs, signal }: Pick<Recovery, "backoffMs" | "signal">,
  retry: number,
): Promise<void> {
  const ms = backoffMs * Math.min(maxBackoff, 2 ** retry);
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
