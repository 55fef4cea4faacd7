import { parseDuration, roughly } from "../shared/duration.ts";
import type { Ledger } from "./ledger.ts";

/** How long a stack may stay, as its launch says it: in ms, or that a limit from before goes. */
export interface LifetimeWish {
  ttl?: number | "none" | undefined;
  idle?: number | "none" | undefined;
}

/** The limits of a stack, as its ledger has them. */
export type Lifetime = Pick<Ledger, "ttlMs" | "expiresAt" | "idleMs">;

/**
 * The limits of a stack that is being launched: what the launch says, else what a launch before said, else the config. A time
 * that was over already begins anew: whoever launches the stack wants it.
 */
export function lifetimeOf(
  known: Lifetime | undefined,
  wish: LifetimeWish | undefined,
  config: { ttl?: string | undefined; idle?: string | undefined },
  now: number,
): Lifetime {
  const usual = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : parseDuration(text);
  const pick = (given: number | "none" | undefined, before: number | undefined, other: string | undefined) => {
    if (given !== undefined) return given === "none" ? undefined : given;
    return known === undefined ? usual(other) : before;
  };
  const ttlMs = pick(wish?.ttl, known?.ttlMs, config.ttl);
  const idleMs = pick(wish?.idle, known?.idleMs, config.idle);
  const before = wish?.ttl === undefined ? known?.expiresAt : undefined;
  const goesOn = before !== undefined && Date.parse(before) > now;
  return {
    ...(ttlMs === undefined ? {} : { ttlMs, expiresAt: goesOn ? before : new Date(now + ttlMs).toISOString() }),
    ...(idleMs === undefined ? {} : { idleMs }),
  };
}

/** Whether the reaper has to look at a stack. One that is stopped is not idle, and one that failed is left for inspection. */
export const isWatched = ({ expiresAt, idleMs, status }: Ledger): boolean =>
  expiresAt !== undefined || (idleMs !== undefined && (status === "ready" || status === "launching"));

/** Whether the time of a stack is over. */
export const isOver = ({ expiresAt }: Ledger, now: number): boolean =>
  expiresAt !== undefined && Date.parse(expiresAt) <= now;

/** Whether a stack is one that is stopped when nobody uses it. */
export const mayIdle = ({ idleMs, status }: Ledger): boolean => idleMs !== undefined && status === "ready";

/** For how long nobody has used a stack, in words, when that is longer than it may be; undefined when it is not. */
export function idleText({ idleMs }: Ledger, usedAt: number, now: number): string | undefined {
  const unusedMs = now - usedAt;
  return idleMs === undefined || unusedMs < idleMs ? undefined : `idle for ${roughly(unusedMs)}`;
}
