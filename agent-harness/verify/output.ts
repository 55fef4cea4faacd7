import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { StringDecoder } from "node:string_decoder";

/** Longer lines (a minified file, say) are cut for whoever reads lines; the log has all of it. */
const maxLine = 4096;

export type StreamName = "stdout" | "stderr";

/** Where a command's output goes: whole into its log, line by line to a reader, and nowhere else. */
export interface OutputSink {
  write(stream: StreamName, chunk: Buffer): void;
  /** A remark of ours, in the log only. */
  remark(text: string): void;
  /** Hands on the last lines, which need no line break, and closes the log. */
  close(): void;
}

/**
 * Opens a command's log, in place of an older one, and splits the output into lines. Writing is synchronous, so that a
 * program that prints faster than the disk takes it is slowed down instead of filling our memory.
 */
export function openOutput(logFile: string, onLine: (stream: StreamName, line: string) => void): OutputSink {
  mkdirSync(dirname(logFile), { recursive: true });
  // Removed, not emptied: another verify may still be writing to the old one.
  rmSync(logFile, { force: true });
  const file = openSync(logFile, "wx", 0o600);
  const splitters = {
    stdout: splitLines((line) => onLine("stdout", line)),
    stderr: splitLines((line) => onLine("stderr", line)),
  };
  return {
    write(stream, chunk) {
      for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
      splitters[stream].push(chunk);
    },
    remark(text) {
      writeSync(file, `[verify] ${text}\n`);
    },
    close() {
      splitters.stdout.end();
      splitters.stderr.end();
      closeSync(file);
    },
  };
}

/** Takes bytes and hands on whole lines, of which it never holds more than one. */
export function splitLines(onLine: (line: string) => void): { push(chunk: Buffer): void; end(): void } {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let pending = false;
  const take = (text: string): void => {
    if (rest.length < maxLine) rest += text.slice(0, maxLine - rest.length);
    pending ||= text !== "";
  };
  const flush = (): void => {
    onLine(rest.endsWith("\r") ? rest.slice(0, -1) : rest);
    rest = "";
    pending = false;
  };
  return {
    push(chunk) {
      const text = decoder.write(chunk);
      let from = 0;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
        take(text.slice(from, end));
        flush();
        from = end + 1;
      }
      take(text.slice(from));
    },
    end() {
      take(decoder.end());
      if (pending) flush();
    },
  };
}
