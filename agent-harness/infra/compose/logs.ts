import { createInterface } from "node:readline";
import { PassThrough, type Readable } from "node:stream";
import type { Engine } from "./engine.ts";

/** The last lines of a container's output, both streams in the order in which they came. */
export async function containerTail(engine: Engine, id: string, lines: number): Promise<string[]> {
  const container = engine.docker.getContainer(id);
  const { Config } = await container.inspect();
  const raw = await container.logs({ follow: false, stdout: true, stderr: true, tail: lines });
  const text = Config.Tty ? raw.toString("utf8") : unframe(raw);
  return text.split("\n").slice(0, text.endsWith("\n") ? -1 : undefined);
}

/** Gives each new line of a container's output from now on, until the signal ends it or the container is gone. */
export async function followContainer(
  engine: Engine,
  id: string,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<void> {
  const container = engine.docker.getContainer(id);
  const since = Math.floor(Date.now() / 1000);
  const stream = (await container.logs({
    follow: true,
    stdout: true,
    stderr: true,
    since,
    tail: 0,
    abortSignal: signal,
  })) as Readable;
  const out = new PassThrough();
  engine.docker.modem.demuxStream(stream, out, out);
  stream.once("end", () => out.end());
  stream.once("close", () => out.end());
  // Aborted on purpose: nothing to report.
  stream.on("error", (error) => (signal.aborted ? out.end() : out.destroy(error)));
  for await (const line of createInterface({ input: out })) onLine(line);
}

/** Docker frames output without a terminal: 8 bytes (stream, three zeros, length), then so many bytes of text. */
export function unframe(raw: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= raw.length; ) {
    const length = raw.readUInt32BE(at + 4);
    parts.push(raw.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString("utf8");
}
