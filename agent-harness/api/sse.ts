import { errorText } from "../shared/errors.ts";
import type { EventFilter, Feed, StoredEvent } from "../store/index.ts";
import { eventIdText, eventJson } from "./json.ts";

/** As much as is written at once when much is there; a client that reads slowly holds no more than this. */
const chunkLength = 64 * 1024;

/** How many turns of the microtask queue a reader of stored events needs at most to give one that it has already. */
const readyTurns = 8;

export interface StreamOptions {
  /** Whose events the feed has. */
  filter: EventFilter;
  heartbeatMs: number;
  /** Aborted when the server stops. */
  stopping: AbortSignal;
  /** What the first line says, as a comment; it also brings the headers to the client. */
  greeting: string;
  report: (error: unknown) => void;
}

/**
 * A feed as server-sent events. Nothing is read from it before the client has taken what was there, so that a slow one
 * costs no memory; without news a heartbeat is sent.
 */
export function streamOf(
  open: (signal: AbortSignal) => AsyncIterable<Feed>,
  options: StreamOptions,
): ReadableStream<Uint8Array> {
  const { stopping, heartbeatMs } = options;
  const left = new AbortController();
  const frames = openFrames(() => open(left.signal), options.filter);
  const leave = (): void => {
    stopping.removeEventListener("abort", frames.ring);
    left.abort();
    frames.close();
  };
  const give = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const text = stopping.aborted ? undefined : await frames.take(heartbeatMs);
    if (text !== undefined && !stopping.aborted) return controller.enqueue(Buffer.from(text));
    controller.enqueue(Buffer.from(comment("the stream ends; come back with the last id")));
    controller.close();
    leave();
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        stopping.addEventListener("abort", frames.ring);
        controller.enqueue(Buffer.from(comment(options.greeting)));
      },
      pull: (controller) =>
        give(controller).catch((error: unknown) => {
          options.report(error);
          controller.enqueue(Buffer.from(comment(`the stream ends: ${errorText(error)}`)));
          controller.close();
          leave();
        }),
      cancel: leave,
    },
    // Nothing is pulled before somebody reads; a HEAD request never does.
    { highWaterMark: 0 },
  );
}

interface Frames {
  /** Frames that are there, or a heartbeat after so long without any; undefined when the feed has ended. */
  take(heartbeatMs: number): Promise<string | undefined>;
  /** Ends the wait of `take`. */
  ring(): void;
  /** Lets the feed go; `take` is not called any more. */
  close(): void;
}

function openFrames(open: () => AsyncIterable<Feed>, filter: EventFilter): Frames {
  let feed: AsyncIterator<Feed> | undefined;
  let arrived: { result: IteratorResult<Feed> } | { error: unknown } | undefined;
  let asking = false;
  let wakeUp = (): void => undefined;
  // One question at a time, and one promise a wait: nothing piles up on a stream that is open for days.
  const ask = (): void => {
    if (asking || arrived !== undefined) return;
    asking = true;
    feed ??= open()[Symbol.asyncIterator]();
    const arrive = (what: NonNullable<typeof arrived>): void => {
      arrived = what;
      asking = false;
      wakeUp();
    };
    feed.next().then(
      (result) => arrive({ result }),
      (error: unknown) => arrive({ error }),
    );
  };
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const next = (): string | undefined => {
    const what = arrived;
    arrived = undefined;
    if (what === undefined) return heartbeat;
    if ("error" in what) throw what.error;
    return what.result.done ? undefined : frameOf(what.result.value, filter);
  };
  return {
    ring: () => wakeUp(),
    close: () => {
      wakeUp();
      // Also of a feed that nobody was waiting for.
      feed?.return?.()?.catch(() => undefined);
    },
    take: async (heartbeatMs) => {
      ask();
      if (arrived === undefined) await wait(heartbeatMs);
      let text = next();
      while (text !== undefined && text !== heartbeat && text.length < chunkLength) {
        ask();
        for (let turn = 0; turn < readyTurns && arrived === undefined; turn += 1) await undefined;
        // What has ended or failed is told by the next call, after what came before it.
        if (arrived === undefined || !("result" in arrived) || arrived.result.done) break;
        text += next() ?? "";
      }
      return text;
    },
  };
}

const heartbeat = "event: heartbeat\ndata: \n\n";

const comment = (text: string): string => `: ${text.replaceAll(/[\r\n]+/g, " ")}\n\n`;

/** The frames of events: the same event goes to many. */
const known = new WeakMap<StoredEvent, string>();

function frameOf(one: Feed, filter: EventFilter): string {
  if (one.kind === "gap") return gapFrame(one, filter);
  const { event } = one;
  let frame = known.get(event);
  if (frame === undefined) {
    frame = `id: ${eventIdText(event.id)}\nevent: ${event.type}\ndata: ${JSON.stringify(eventJson(event))}\n\n`;
    known.set(event, frame);
  }
  return frame;
}

/** Without an id: where the stream goes on is told by the next event. */
function gapFrame({ from, to, reason }: Extract<Feed, { kind: "gap" }>, filter: EventFilter): string {
  const ids = { from: eventIdText(from), to: eventIdText(to) };
  const data = { ts: new Date().toISOString(), ...filter, type: "stream_gap", ...ids, reason };
  return `event: stream_gap\ndata: ${JSON.stringify(data)}\n\n`;
}
