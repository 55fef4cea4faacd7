import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { LineSplitter } from "./lines.ts";
import type { Spawn } from "./provider.ts";

/* A program that a keeper runs: on pipes, or in the terminal that the keeper itself runs in. */

export interface ProgramEnd {
  code: number | null;
  signal: string | null;
}

/** A program that was started. */
export interface Program {
  part: "backend" | "terminal";
  pid: number;
  argv: string[];
  /** Settles when the process has ended. */
  ended: Promise<ProgramEnd>;
  /** Settles when nobody holds its output open any more. */
  closed: Promise<void>;
  hasEnded: boolean;
  /** Whether it takes lines: it may have closed its input, and live. */
  reads: boolean;
  write(line: string): void;
  signal(name: NodeJS.Signals): void;
  /** While the journal takes nothing, nothing is read: the program waits at its full pipe. */
  pause(paused: boolean): void;
}

export interface StartProgram {
  part: Program["part"];
  spawn: Spawn;
  /** Variables with which it is found again. */
  marks: Record<string, string>;
  onLines: (from: "stdout" | "stderr", lines: string[]) => void;
}

/** Starts a program; throws EXECUTABLE_NOT_FOUND when there is none. */
export async function startProgram({ part, spawn: plan, marks, onLines }: StartProgram): Promise<Program> {
  const [command, ...args] = plan.argv;
  const { TMUX: _server, TMUX_PANE: _pane, ...env } = { ...plan.env, ...marks };
  const input = await openInput(part, plan);
  const child = spawn(command, args, {
    cwd: plan.cwd,
    // A `tmux` that the coding agent runs must not be ours: it could end every session.
    env: part === "backend" ? env : { ...env, ...terminalEnv() },
    // In a terminal it has to be in the group that reads from it; else a group of its own keeps our signals apart.
    detached: part === "backend",
    stdio: part === "backend" ? "pipe" : [input?.fd ?? "inherit", "inherit", "inherit"],
  });
  const ended = endOf(child);
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    await once(child, "spawn");
  } catch (cause) {
    throw await cannotStart(plan, cause);
  } finally {
    await input?.close();
  }
  for (const from of ["stdout", "stderr"] as const) readLines(child[from], (lines) => onLines(from, lines));
  // What it did not read is told by its end.
  child.stdin?.on("error", () => undefined);
  return {
    part,
    pid: child.pid ?? 0,
    argv: plan.argv,
    ended,
    closed,
    get hasEnded() {
      return child.exitCode !== null || child.signalCode !== null;
    },
    get reads() {
      return child.stdin?.writable === true;
    },
    write: (line) => void child.stdin?.write(`${line}\n`),
    signal: (name) => void child.kill(name),
    pause: (paused) => {
      for (const stream of [child.stdout, child.stderr]) paused ? stream?.pause() : stream?.resume();
    },
  };
}

async function openInput(part: Program["part"], { stdin }: Spawn): Promise<FileHandle | undefined> {
  return part === "terminal" && stdin !== undefined ? await open(stdin) : undefined;
}

function endOf(child: ChildProcess): Promise<ProgramEnd> {
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
}

/** What the window is, which the plan cannot know. */
function terminalEnv(): Record<string, string> {
  const term = process.env["TERM"];
  return { COLORTERM: "truecolor", ...(term === undefined ? {} : { TERM: term }) };
}

function readLines(stream: Readable | null, onLines: (lines: string[]) => void): void {
  const splitter = new LineSplitter();
  stream?.on("data", (chunk: Buffer) => onLines(splitter.push(chunk)));
  stream?.on("close", () => onLines(splitter.end()));
}

async function cannotStart({ argv: [command], cwd }: Spawn, cause: unknown): Promise<HarnessError> {
  const folder = await stat(cwd).catch(() => undefined);
  if (!folder?.isDirectory()) {
    return new HarnessError("EXECUTABLE_NOT_FOUND", `"${command}" cannot be run in ${cwd}: there is no such folder.`, {
      hint: "Create the folder, or give the project another one.",
      cause,
    });
  }
  const why = ["ENOENT", "EACCES"].includes(errorNumber(cause) ?? "")
    ? "no such program, or not executable"
    : errorText(cause);
  return new HarnessError("EXECUTABLE_NOT_FOUND", `"${command}" cannot be run in ${cwd}: ${why}.`, {
    hint: "Install it, or correct the provider's command.",
    cause,
  });
}
