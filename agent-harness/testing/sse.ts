import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";

/** One frame of an event stream, as it came. */
export interface Frame {
  id?: string;
  event?: string;
  data?: string;
  comment?: string;
}

/** An open event stream that reads only when it is asked to. */
export interface FrameReader extends AsyncDisposable {
  status: number;
  headers: IncomingMessage["headers"];
  /** The next frame that is neither a comment nor a heartbeat; undefined at the end. */
  next(): Promise<Frame | undefined>;
  /** The next frame of any kind. */
  any(): Promise<Frame | undefined>;
}

/** Opens an event stream on a connection of its own. */
export async function openFrames(url: string, headers: Record<string, string> = {}): Promise<FrameReader> {
  const asked: ClientRequest = request(url, { headers, agent: false });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const frames = framesOf(response);
  const any = async (): Promise<Frame | undefined> => {
    const { value, done } = await frames.next();
    return done ? undefined : value;
  };
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    any,
    next: async () => {
      for (;;) {
        const frame = await any();
        if (frame === undefined || (frame.comment === undefined && frame.event !== "heartbeat")) return frame;
      }
    },
    [Symbol.asyncDispose]: async () => {
      asked.destroy();
    },
  };
}

async function* framesOf(response: IncomingMessage): AsyncGenerator<Frame> {
  let rest = "";
  for await (const part of response.setEncoding("utf8")) {
    const texts = (rest + String(part)).split("\n\n");
    rest = texts.pop() ?? "";
    for (const text of texts) yield parseFrame(text);
  }
}

function parseFrame(text: string): Frame {
  const frame: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const [, name = "", value = ""] = /^(\w*): ?(.*)$/s.exec(line) ?? [];
    frame[name === "" ? "comment" : name] = value;
  }
  return frame;
}
