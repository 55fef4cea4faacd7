import { chmod, mkdir, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "../shared/errors.ts";
import { LineSplitter } from "./lines.ts";

/* The keeper's end of its socket: JSON lines in, a JSON line out for each, in their order. */

/** Answers a request; a thrown error becomes `{"error": …}`. */
export type Answerer = (request: Record<string, unknown>, asker: Asker) => Promise<unknown> | unknown;

/** How long answers that were not given yet are waited for at the end, in ms. */
const lastAnswersMs = 1000;

/** Who asked. */
export interface Asker {
  /** Settles when the asker has closed its side, or is gone: then nobody waits for an answer that is long in coming. */
  gone: Promise<void>;
}

/** Listens; what an earlier keeper left there is taken away. */
export async function listen(path: string, answer: Answerer): Promise<AsyncDisposable> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(path, { force: true });
  /** The connections, and when the last answer of each was written. */
  const open = new Map<Socket, () => Promise<void>>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.set(socket, serve(socket, answer));
    socket.on("close", () => open.delete(socket));
  });
  await listening(server, path);
  await chmod(path, 0o600);
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      const answered = Promise.all([...open.values()].map((written) => written()));
      await Promise.race([answered, delay(lastAnswersMs, undefined, { ref: false })]);
      for (const socket of open.keys()) socket.destroySoon();
      await closed;
    },
  };
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function serve(socket: Socket, answer: Answerer): () => Promise<void> {
  const lines = new LineSplitter();
  const gone = new Promise<void>((resolve) => {
    for (const event of ["end", "close"] as const) socket.once(event, () => resolve());
  });
  let before = Promise.resolve();
  const take = (line: string): void => {
    const given = reply(line, answer, { gone });
    before = before.then(async () => {
      const text = await given;
      if (socket.writable) socket.write(`${text}\n`);
    });
  };
  socket.on("data", (chunk) => lines.push(chunk).forEach(take));
  // A hook may close its side when it has said what it has to say.
  socket.on("end", () => {
    lines.end().forEach(take);
    before.then(
      () => socket.end(),
      () => socket.destroy(),
    );
  });
  // Whoever asked was killed.
  socket.on("error", () => socket.destroy());
  return () => before;
}

async function reply(line: string, answer: Answerer, asker: Asker): Promise<string> {
  try {
    const request: unknown = JSON.parse(line);
    if (typeof request !== "object" || request === null) throw new Error("a request is a JSON object");
    return JSON.stringify(await answer(request as Record<string, unknown>, asker));
  } catch (error) {
    return JSON.stringify({ error: errorText(error) });
  }
}
