import { writeSync } from "node:fs";
import { constants } from "node:os";
import { textWidth } from "./text-width.ts";

/** The other screen of the terminal, no cursor, no breaking of lines that are too long. */
const enter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const leave = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/** What to print so that a screen with the lines `before` shows the lines `after`: those that differ, in one piece. */
export function changesText(before: readonly string[], after: readonly string[], columns: number): string {
  const rows = Array.from({ length: Math.max(before.length, after.length) }, (_, at) => at);
  const changes = rows
    .filter((at) => (before[at] ?? "") !== (after[at] ?? ""))
    .map((at) => {
      const line = after[at] ?? "";
      // At the very end of a line the terminal would take its last letter away.
      return `\x1b[${at + 1};1H${line}${textWidth(line) < columns ? "\x1b[K" : ""}`;
    });
  return changes.length === 0 ? "" : `\x1b[?2026h${changes.join("")}\x1b[?2026l`;
}

/** A terminal that is drawn on until it is left. */
export interface Screen extends Disposable {
  /** How large it is now. */
  size: () => { columns: number; rows: number };
  draw: (lines: readonly string[]) => void;
  /** Aborted when somebody wants to leave: `q`, Ctrl-C, or a terminal that is gone. */
  left: AbortSignal;
}

/** Takes the terminal over. However this process ends, but by SIGKILL, it is given back as it was. */
export function openScreen(onResize: () => void): Screen {
  const { stdin, stdout } = process;
  const leaving = new AbortController();
  let drawn: readonly string[] = [];
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
    // At once: at the end of a process nothing else is printed any more.
    tryWrite(leave);
  };
  const resize = (): void => {
    drawn = [];
    stdout.write("\x1b[2J");
    onResize();
  };
  const stopListening = listen({ onExit: close, onResize: resize, onLeave: () => leaving.abort() });
  stdout.write(enter);
  if (stdin.isTTY) stdin.setRawMode(true).resume();
  return {
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    draw: (lines) => {
      stdout.write(changesText(drawn, lines, stdout.columns || 80));
      drawn = [...lines];
    },
    left: leaving.signal,
    [Symbol.dispose]: () => {
      stopListening();
      close();
    },
  };
}

/** In raw mode Ctrl-C and Ctrl-D are keys like others. */
const leaveKeys = ["q", "Q", "\u0003", "\u0004"];

/** Everything that ends the view or changes its size; returns what takes the listeners away. */
function listen(on: { onExit: () => void; onResize: () => void; onLeave: () => void }): () => void {
  const { stdin, stdout } = process;
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  // Left by `exit`, as an error that nobody caught is.
  const end = (signal: NodeJS.Signals): void => process.exit(128 + constants.signals[signal]);
  const key = (text: Buffer): void => {
    if (leaveKeys.some((one) => text.includes(one))) on.onLeave();
  };
  process.on("exit", on.onExit);
  for (const signal of signals) process.on(signal, end);
  stdout.on("resize", on.onResize).on("error", on.onLeave);
  stdin.on("data", key);
  return () => {
    process.off("exit", on.onExit);
    for (const signal of signals) process.off(signal, end);
    stdout.off("resize", on.onResize).off("error", on.onLeave);
    stdin.off("data", key);
  };
}

function tryWrite(text: string): void {
  try {
    writeSync(1, text);
  } catch {
    // The terminal is gone, and with it whatever was to be restored.
  }
}
