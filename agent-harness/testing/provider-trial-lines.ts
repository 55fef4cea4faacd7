import { open, readdir } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";

/* Where a provider's trial gets lines from: a stream, a socket, files that grow. */

/** Calls back with each line, split at LF only, and with what is left at the end. */
export function onLines(stream: Readable, line: (line: string) => void): void {
  let rest = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      line(rest.subarray(0, end).toString("utf8"));
      rest = rest.subarray(end + 1);
    }
  });
  stream.on("end", () => {
    if (rest.length > 0) line(rest.toString("utf8"));
  });
}

/** Listens on a unix socket for JSON lines, each with the connection on which it came. */
export async function listenForLines(
  path: string,
  line: (line: string, from: Socket) => void,
): Promise<AsyncDisposable> {
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket);
    onLines(socket, (text) => line(text, socket));
    socket.on("close", () => connections.delete(socket));
    // A hook that was killed while it waited.
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const close = async (): Promise<void> => {
    for (const socket of connections) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { [Symbol.asyncDispose]: close };
}

/**
 * Follows files that only grow, by path or glob (`*` within a name), and calls back with each whole line, until disposed.
 * `read` says how far each was read before, and is kept up to date.
 */
export function followFiles(
  globs: readonly string[],
  read: Map<string, number>,
  line: (path: string, line: string) => void,
): AsyncDisposable {
  const look = async (): Promise<void> => {
    for (const path of (await Promise.all(globs.map(expand))).flat())
      read.set(path, await readOn(path, read.get(path) ?? 0, line));
  };
  let going = true;
  const loop = (async () => {
    while (going) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await look();
  })();
  const stop = async (): Promise<void> => {
    going = false;
    await loop;
  };
  return { [Symbol.asyncDispose]: stop };
}

async function readOn(path: string, from: number, line: (path: string, line: string) => void): Promise<number> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const { buffer } = await file.read({ buffer: Buffer.alloc(Math.max(0, size - from)), position: from });
    const whole = buffer.lastIndexOf(10) + 1;
    const lines = buffer.subarray(0, whole).toString("utf8").split("\n").slice(0, -1);
    for (const one of lines) line(path, one);
    return from + whole;
  } finally {
    await file.close();
  }
}

async function expand(glob: string): Promise<string[]> {
  const parts = glob.split("/").filter((part) => part !== "");
  let found = ["/"];
  for (const part of parts) {
    const name = new RegExp(
      `^${part
        .split("*")
        .map((piece) => piece.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
        .join(".*")}$`,
    );
    const below = found.map(async (folder) => {
      // Not there yet, or a file where a folder is wanted.
      const names = await readdir(folder).catch((): string[] => []);
      return names.filter((one) => name.test(one)).map((one) => join(folder, one));
    });
    found = (await Promise.all(below)).flat();
  }
  return found;
}
