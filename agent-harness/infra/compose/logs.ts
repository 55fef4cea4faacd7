import { createInterface } from "node:readline";
import { PassThrough, type Readable } from "node:stream";
import type { ServiceLogLine } from "../driver.ts";
import type { ServiceId } from "../services.ts";
import type { ContainerFacts, Engine } from "./engine.ts";
import { isMissing } from "./engine-errors.ts";
import { watchEvents } from "./events.ts";
import { findServiceId } from "./names.ts";

/** The last lines of a container's output, both streams in the order in which they came. */
export async function containerTail(engine: Engine, id: string, lines: number): Promise<string[]> {
  const container = engine.docker.getContainer(id);
  const { Config } = await container.inspect();
  const raw = await container.logs({ follow: false, stdout: true, stderr: true, tail: lines });
  const text = Config.Tty ? raw.toString("utf8") : unframe(raw);
  return text.split("\n").slice(0, text.endsWith("\n") ? -1 : undefined);
}

/** Which lines of a container are followed: the last so many and all new ones, or those from a time on. */
type From = { lines: number } | { sinceSeconds: number };

/**
 * Gives the last lines of each service and each new one, until the signal ends it. A container that is started again, or
 * made anew, is followed too.
 */
export async function followServices(
  { engine, project, containers }: Followed,
  { lines, signal }: { lines: number; signal: AbortSignal },
  onLine: (line: ServiceLogLine) => void,
): Promise<void> {
  const broken = new AbortController();
  const end = AbortSignal.any([signal, broken.signal]);
  const follow = (service: ServiceId, id: string, from: From): void => {
    const lines = followContainer(engine, id, from, end, (line) => onLine({ service, line }));
    // One that is gone again by now has nothing to say.
    lines.catch((error: unknown) => (end.aborted || isMissing(error) ? undefined : broken.abort(error)));
  };
  const { ended } = await watchEvents(engine, project, end, ({ service, action, container, atSeconds }) => {
    const id = findServiceId(service);
    if (action === "start" && id !== undefined && containers.has(id))
      follow(id, container, { sinceSeconds: atSeconds });
  });
  for (const [service, container] of containers) {
    if (container !== undefined) follow(service, container.id, { lines });
  }
  await ended;
  if (broken.signal.aborted) throw broken.signal.reason;
}

/** What is followed: services by their ids, with the container that each has now. */
export interface Followed {
  engine: Engine;
  project: string;
  containers: ReadonlyMap<ServiceId, ContainerFacts | undefined>;
}

/** Gives the lines of one container until the signal ends it or the container itself ends. */
async function followContainer(
  engine: Engine,
  id: string,
  from: From,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<void> {
  const what = "lines" in from ? { tail: from.lines } : { since: from.sinceSeconds };
  const options = { follow: true, stdout: true, stderr: true, abortSignal: signal, ...what } as const;
  const stream = (await engine.docker.getContainer(id).logs(options)) as Readable;
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
