import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { ExecOptions } from "../driver.ts";
import { type OutputStream, openFrames } from "./frames.ts";

/** How an engine's words begin when it could not start a program; it puts them where the program's output would be. */
const refusal = "OCI runtime exec failed";

/** What becomes of a program's output. */
export interface Output {
  /** Resolves when it has come to its end. */
  readonly ended: Promise<void>;
  /** Writes out the last of it; where it may be the engine's own, gives the engine's words instead. */
  finish(options: { refused: boolean }): Promise<string | undefined>;
}

interface OutputOptions extends Pick<ExecOptions, "stdout" | "stderr"> {
  tty: boolean;
  /** Nobody reads it any more. */
  onBroken: () => void;
}

/** Passes a program's output on as it comes, no faster than it is read. */
export function passOutput(socket: Duplex, { tty, onBroken, stdout, stderr }: OutputOptions): Output {
  const targets = { stdout, stderr };
  let held: Buffer | undefined;
  let begun = false;
  let over = false;
  const write = (stream: OutputStream, data: Buffer): void => {
    if (over || targets[stream].write(data)) return;
    socket.pause();
    targets[stream].once("drain", () => socket.resume());
  };
  const take = (stream: OutputStream, data: Buffer): void => {
    // Held back to the end, when the engine says whether it is its own.
    if (held !== undefined) held = Buffer.concat([held, data]);
    else if (!begun && data.toString("latin1").startsWith(refusal)) held = Buffer.from(data);
    else write(stream, data);
    begun = true;
  };
  const breakOff = (): void => {
    if (!over) onBroken();
    over = true;
    socket.resume();
  };
  // They stay when all is over: unheard, an error of our output would end us.
  for (const target of [stdout, stderr]) target.on("error", breakOff);
  socket.on("data", tty ? (data: Buffer) => take("stdout", data) : openFrames(take));
  return {
    ended: new Promise<void>((resolve) => {
      for (const event of ["end", "close"]) socket.once(event, () => resolve());
    }),
    finish: async ({ refused }) => {
      if (!refused && held !== undefined) write("stdout", held);
      await Promise.all([stdout, stderr].map((one) => new Promise<void>((resolve) => one.write("", () => resolve()))));
      over = true;
      return refused ? held?.toString("utf8").trim() : undefined;
    },
  };
}

/** Passes our input to a program, with its end. Returns what lets go of it. */
export function passInput(socket: Duplex, stdin: ExecOptions["stdin"]): () => void {
  // The terminal went away.
  const end = (): void => void socket.end();
  stdin.on("error", end);
  // A program that ends before it has read all; how it ended is asked of the engine.
  socket.on("error", () => undefined);
  stdin.pipe(socket);
  return () => {
    stdin.unpipe(socket);
    stdin.pause();
    stdin.off("error", end);
  };
}

interface Size {
  h: number;
  w: number;
}

/** Makes our terminal the program's: key by key, and of the same size. Returns what gives it back. */
export function takeTerminal(
  { stdin, stdout }: Pick<ExecOptions, "stdin" | "stdout">,
  resize: (size: Size) => Promise<unknown>,
): () => void {
  const over = new AbortController();
  const apply = (): void => void resizeWhenThere(() => resize({ h: stdout.rows, w: stdout.columns }), over.signal);
  stdin.setRawMode(true);
  stdout.on("resize", apply);
  apply();
  return () => {
    over.abort();
    stdout.off("resize", apply);
    // Not where the terminal is gone: nobody is there to have it back.
    if (!stdin.destroyed) stdin.setRawMode(false);
  };
}

/** A program that is about to start has no terminal yet to be given a size. */
async function resizeWhenThere(resize: () => Promise<unknown>, over: AbortSignal): Promise<void> {
  for (let tries = 0; tries < 50 && !over.aborted; tries += 1) {
    const done = await resize().then(
      () => true,
      () => false,
    );
    if (done) return;
    await delay(50);
  }
}
