import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { constants } from "node:os";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { errorNumber, HarnessError } from "./errors.ts";
import { killAll, killTree, listProcesses } from "./process-tree.ts";

export interface RunOptions {
  cwd: string;
  /** The whole environment; nothing is inherited. */
  env: Record<string, string>;
  /** Where all output is kept, besides the tail that is returned. */
  logFile?: string;
  /** Gets each line as it comes. */
  onLine?: (line: string) => void;
  /** Stops the command and all it started, in ms. (Default: 30 minutes) */
  timeoutMs?: number;
  /** Stops the command and all it started; its exit code is returned as ever. */
  signal?: AbortSignal;
  /** Run as this user, when we are root. */
  user?: { uid: number; gid: number };
}

export interface RunResult {
  /** 0 is success; 128 + n for a signal. */
  exitCode: number;
  /** The last lines of both streams. */
  tail: string[];
}

const tailLines = 40;

/** Runs a program to its end without a shell. Throws only when it cannot start or takes too long; look at exitCode. */
export async function runCommand(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  const [program = "", ...args] = argv;
  // Opened first: a program that cannot start says so at the next turn, when somebody has to be listening.
  const log = await openLog(options.logFile);
  const tail: string[] = [];
  const take = (line: string): void => {
    tail.push(line);
    if (tail.length > tailLines) tail.shift();
    log?.write(`${line}\n`);
    options.onLine?.(line);
  };
  try {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env,
      // A group of its own, so that what it leaves behind can be stopped when it is gone itself.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      ...options.user,
    });
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", take);
    const stopListening = stopWhenAborted(child, options.signal);
    const exitCode = await endOf(child, options.timeoutMs ?? 30 * 60_000, program).finally(stopListening);
    return { exitCode, tail };
  } catch (error) {
    throw cannotStart(error, program, options.cwd);
  } finally {
    if (log !== undefined) await finished(log.end());
  }
}

/** How long the output of what a program left behind is waited for once the program itself has ended, in ms. */
const lingerMs = 1000;

/** The exit code of a program, when its output has ended too. What holds the output open longer is stopped. */
async function endOf(child: ChildProcess, limitMs: number, program: string): Promise<number> {
  const timers: NodeJS.Timeout[] = [];
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
  const stopForwarding = forwardSignals(child);
  const late = new Promise<"late">((resolve) => timers.push(setTimeout(() => resolve("late"), limitMs)));
  try {
    const exitCode = await Promise.race([ended, late]);
    if (exitCode === "late") {
      if (child.pid !== undefined) await killTree(child.pid);
      throw new HarnessError("TIMEOUT", `"${program}" did not end within ${limitMs} ms and was stopped.`);
    }
    const lingering = new Promise<"lingering">((resolve) =>
      timers.push(setTimeout(() => resolve("lingering"), lingerMs)),
    );
    if ((await Promise.race([closed, lingering])) === "lingering") await stopLeftBehind(child);
    return exitCode;
  } finally {
    stopForwarding();
    for (const timer of timers) clearTimeout(timer);
    for (const stream of [child.stdout, child.stderr]) stream?.destroy();
  }
}

/** Stops a program and all that it started once the signal says so. */
function stopWhenAborted(child: ChildProcess, signal: AbortSignal | undefined): () => void {
  const stop = (): void => {
    if (child.pid !== undefined) killTree(child.pid).catch((error: unknown) => child.emit("error", error));
  };
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop, { once: true });
  return () => signal?.removeEventListener("abort", stop);
}

/** Ctrl-C reaches only our own group; what ends us has to end the program too. */
function forwardSignals(child: ChildProcess): () => void {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const forward = (signal: NodeJS.Signals): void => {
    stop();
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal);
    process.kill(process.pid, signal);
  };
  const stop = (): void => {
    for (const signal of signals) process.off(signal, forward);
  };
  for (const signal of signals) process.on(signal, forward);
  return stop;
}

async function stopLeftBehind(child: ChildProcess): Promise<void> {
  await killAll((await listProcesses()).filter((one) => one.group === child.pid));
}

async function openLog(path: string | undefined) {
  if (path === undefined) return undefined;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const log = createWriteStream(path, { flags: "a", mode: 0o600 });
  // finished() reports it at the end; unheard until then, it would end us.
  log.on("error", () => undefined);
  return log;
}

function cannotStart(error: unknown, program: string, cwd: string): unknown {
  const code = errorNumber(error);
  if (code !== "ENOENT" && code !== "EACCES") return error;
  return new HarnessError(
    "EXECUTABLE_NOT_FOUND",
    `"${program}" cannot be run in ${cwd}: no such program, or not executable.`,
    {
      hint: "Install the project's dependencies, or correct the command in agent-harness.yml.",
      cause: error,
    },
  );
}
