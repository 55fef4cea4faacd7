import { errorText } from "../shared/errors.ts";
import type { EventFilter, Feed, StoredEvent } from "../store/index.ts";
import { eventIdText, eventJson } from "./json.ts";

/** As much as is written at once when much is there; a client that reads slowly holds no more than this. */
const chunkLength = 64 * 1024;

/** How many turns of the microtask queue a reader of stored events needs at most to give one that it has already. */
const readyTurns = 8;

export interface StreamOptions {
  /** The id after which the stream begins. */
  since: number;
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
  let isListening = false;
  const frames = openFrames(() => open(left.signal), options);
  const leave = (): void => {
    stopping.removeEventListener("abort", frames.ring);
    left.abort();
    frames.close();
  };
  const give = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (!isListening) stopping.addEventListener("abort", frames.ring);
    isListening = true;
    const text = stopping.aborted ? undefined : await frames.take(heartbeatMs);
    // The client has gone: there is nothing any more that could be written to.
    if (left.signal.aborted) return;
    if (text !== undefined && !stopping.aborted) return controller.enqueue(Buffer.from(text));
    controller.enqueue(Buffer.from(comment("the stream ends; come back with the last id")));
    controller.close();
    leave();
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        controller.enqueue(Buffer.from(comment(options.greeting)));
      },
      pull: (controller) =>
        give(controller).catch((error: unknown) => {
          if (left.signal.aborted) return;
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

function openFrames(open: () => AsyncIterable<Feed>, { filter, since }: StreamOptions): Frames {
  let cursor = since;
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
    if (what.result.done) return undefined;
    const one = what.result.value;
    const gap = one.kind === "gap" ? jumpOf(one, cursor) : undefined;
    cursor = one.kind === "event" ? one.event.id : (gap?.to ?? cursor);
    return one.kind === "event" ? eventFrame(one.event) : gap && gapFrame(gap, filter);
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

function eventFrame(event: StoredEvent): string {
  let frame = known.get(event);
  if (frame === undefined) {
    frame = `id: ${eventIdText(event.id)}\nevent: ${event.type}\ndata: ${JSON.stringify(eventJson(event))}\n\n`;
    known.set(event, frame);
  }
  return frame;
}

type Gap = Extract<Feed, { kind: "gap" }>;

/**
 * A gap as a client uses it: whichever it is, the stream goes on after `to`. Of a client that was beyond the end of the log,
 * which knows of events that this log does not have, that is the log's end, which is before where it was.
 */
function jumpOf({ from, to, reason }: Gap, cursor: number): Gap {
  const isBeyond = from <= cursor;
  return isBeyond ? { kind: "gap", from: to, to: from - 1, reason } : { kind: "gap", from, to, reason };
}

function gapFrame({ from, to, reason }: Gap, filter: EventFilter): string {
  const id = eventIdText(to);
  const head = { id, ts: new Date().toISOString(), ...filter, type: "stream_gap" };
  const data = { ...head, from: eventIdText(from), to: id, reason };
  return `id: ${id}\nevent: stream_gap\ndata: ${JSON.stringify(data)}\n\n`;
}
