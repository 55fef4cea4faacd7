import { failureOf, type StreamItem } from "./client.ts";
import { pause, remedyFor } from "./recovery.ts";
import { projectOf, type Run } from "./run.ts";

export type StreamEvent = Extract<StreamItem, { kind: "event" }>;

export interface WatchOptions {
  run: Run;
  agentId: string | undefined;
  since: number | undefined;
  onEvent: (event: StreamEvent) => void;
  /** Events may be missing: whoever is watched has to be looked at. */
  onDoubt: () => void;
}

/** A stream of events that comes back when it breaks. */
export interface Watch extends AsyncDisposable {}

/** Follows the events of a project or of one agent until it is closed; after a break it goes on where it was. */
export function openWatch(options: WatchOptions): Watch {
  const closed = new AbortController();
  const cursor: Cursor = { since: options.since, refreshed: false };
  const work = follow(options, cursor, closed.signal);
  return {
    [Symbol.asyncDispose]: async () => {
      closed.abort();
      await work;
    },
  };
}

interface Cursor {
  /** The newest event that was seen. */
  since: number | undefined;
  /** Whether the token was looked for again since the stream last worked. */
  refreshed: boolean;
}

async function follow(options: WatchOptions, cursor: Cursor, closed: AbortSignal): Promise<void> {
  const { run, agentId } = options;
  const doing = `follow the events of ${agentId ?? projectOf(run).name}`;
  for (let retry = 0; !closed.aborted; retry += 1) {
    try {
      await readOnce(options, cursor, closed, () => {
        retry = 0;
        run.recovery.errors.recovered({ doing, agentId });
      });
    } catch (thrown) {
      if (closed.aborted) return;
      const failure = failureOf(thrown) ?? silence(thrown);
      run.recovery.errors.note({ doing, agentId, ...failure });
      if (remedyFor(failure) === "refresh_token" && !cursor.refreshed) {
        cursor.refreshed = true;
        await run.client.refreshToken();
        continue;
      }
      options.onDoubt();
    }
    await pause({ backoffMs: run.pace.backoffMs, signal: closed }, retry);
  }
}

/** What broke a stream that the server did not end: it is told like any other lost connection. */
const silence = (thrown: unknown) => ({
  status: undefined,
  code: "STREAM_DROPPED",
  message: thrown instanceof Error ? thrown.message : String(thrown),
});

/** Reads one connection to its end. */
async function readOnce(options: WatchOptions, cursor: Cursor, closed: AbortSignal, works: () => void): Promise<void> {
  const { run, agentId, onEvent, onDoubt } = options;
  using silent = silenceLimit(run.pace.silenceMs, closed);
  let first = true;
  for await (const item of run.client.events(projectOf(run).name, {
    agentId,
    since: cursor.since,
    signal: silent.signal,
  })) {
    silent.heard();
    if (item.kind === "open") {
      works();
      cursor.refreshed = false;
      // Without a cursor, or after a break, something may have happened that the stream does not tell.
      onDoubt();
    } else if (item.kind === "gap") {
      cursor.since = item.to ?? cursor.since;
      onDoubt();
    } else if (item.kind === "event") {
      // An older id is a repetition, or a log that has begun anew; nobody can tell which without looking.
      const isNew = item.id === undefined || cursor.since === undefined || item.id > cursor.since;
      if (isNew || first) cursor.since = item.id ?? cursor.since;
      if (isNew) onEvent(item);
      else onDoubt();
      first = false;
    }
  }
}

interface SilenceLimit extends Disposable {
  signal: AbortSignal;
  heard(): void;
}

/** A signal that is aborted when nothing was heard for so long, or when `closed` is. */
function silenceLimit(limitMs: number, closed: AbortSignal): SilenceLimit {
  const controller = new AbortController();
  const end = (): void => controller.abort(new Error(`nothing, not even a heartbeat, for ${limitMs} ms`));
  const close = (): void => controller.abort(closed.reason);
  let timer = setTimeout(end, limitMs);
  closed.addEventListener("abort", close);
  if (closed.aborted) close();
  return {
    signal: controller.signal,
    heard: () => {
      clearTimeout(timer);
      timer = setTimeout(end, limitMs);
    },
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      closed.removeEventListener("abort", close);
    },
  };
}
