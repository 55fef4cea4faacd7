import { asHarnessError } from "../shared/errors.ts";
import type { Store } from "../store/index.ts";
import type { CommandContext } from "./command.ts";
import { parseCount, usage } from "./usage.ts";

/** How long events are kept, unless HARNESS_KEEP_EVENT_DAYS and HARNESS_KEEP_EVENTS say otherwise. */
const usual = { keepDays: 30, keepEvents: 1_000_000 } as const;
const pruneMs = 3_600_000;

/** Which events are kept. None at all is refused: the output of sessions that run is read from them. */
export function retentionOf(env: CommandContext["env"]): { keepDays: number; keepEvents: number } {
  return {
    keepDays: countOf(env, "HARNESS_KEEP_EVENT_DAYS", usual.keepDays),
    keepEvents: countOf(env, "HARNESS_KEEP_EVENTS", usual.keepEvents),
  };
}

function countOf(env: CommandContext["env"], name: string, usually: number): number {
  const count = parseCount(name, env[name] || undefined, usually);
  if (count > 0) return count;
  throw usage(`${name} wants 1 or more, not 0: every event would be forgotten at once.`, `Such as: ${name}=${usually}`);
}

/** Forgets the events that are older than is stated, now and each hour. */
export function pruneEachHour(
  store: Pick<Store, "prune">,
  retention: ReturnType<typeof retentionOf>,
  report: (error: unknown) => void,
): Disposable {
  const prune = (): void => {
    store.prune(retention).catch((error: unknown) => {
      // While Postgres is away nothing grows; the next hour does it.
      if (asHarnessError(error).kind !== "unavailable") report(error);
    });
  };
  prune();
  const timer = setInterval(prune, pruneMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
