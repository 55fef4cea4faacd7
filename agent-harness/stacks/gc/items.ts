import { asHarnessError, type ErrorCode, errorNumber, errorText, HarnessError } from "../../shared/errors.ts";

/** What gc did with one thing, or would do. */
export interface GcItem {
  /** A kind of resource, such as `database`, or what else we leave: `pool-database`, `template-database`, `worktree-trash` … */
  kind: string;
  name: string;
  /** The agent that its mark names. */
  owner?: number;
  action: "removed" | "would remove" | "kept" | "skipped";
  reason: string;
  /** Why gc could not do its work here; absent where there was nothing wrong. */
  code?: ErrorCode;
}

export type GcThing = Pick<GcItem, "kind" | "name" | "owner">;

/** One that could not be looked at or removed, by what went wrong. */
export function failedItem(thing: GcThing, thrown: unknown): GcItem {
  const error = isSqlState(thrown) ? postgresRefused(thrown) : asHarnessError(thrown);
  const skipped = { ...thing, action: "skipped" as const, reason: error.message };
  // Somebody at work is nothing wrong.
  return error.code === "LOCK_HELD" ? skipped : { ...skipped, code: error.code };
}

const isSqlState = (thrown: unknown): boolean =>
  !(thrown instanceof HarnessError) && /^[0-9A-Z]{5}$/.test(errorNumber(thrown) ?? "");

/** A server on our port that takes our password not: another harness's, while our own is down. */
const postgresRefused = (thrown: unknown): HarnessError =>
  new HarnessError("POSTGRES_UNAVAILABLE", `Postgres did not do it: ${errorNumber(thrown)} ${errorText(thrown)}`);

/** Runs one search; when it fails, an item that says so takes the place of what it would have found. */
export async function attempt<T>(
  where: GcThing,
  search: () => Promise<T[]>,
): Promise<{ found: T[]; failed: GcItem[] }> {
  try {
    return { found: await search(), failed: [] };
  } catch (error) {
    return { found: [], failed: [failedItem(where, error)] };
  }
}
