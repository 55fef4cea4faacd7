import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { constants } from "node:os";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { errorNumber, HarnessError } from "./errors.ts";
import { killTree } from "./process-tree.ts";

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
  const limitMs = options.timeoutMs ?? 30 * 60_000;
  let stopping: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const { cwd, env, user } = options;
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], ...user });
    const ended = new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
      timer = setTimeout(() => {
        stopping = child.pid === undefined ? Promise.resolve() : killTree(child.pid);
        stopping.catch(reject);
      }, limitMs);
    });
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", take);
    const exitCode = await ended;
    if (stopping === undefined) return { exitCode, tail };
    await stopping;
    throw new HarnessError("TIMEOUT", `"${argv.join(" ")}" did not end within ${limitMs} ms and was stopped.`);
  } catch (error) {
    throw cannotStart(error, program, options.cwd);
  } finally {
    clearTimeout(timer);
    if (log !== undefined) await finished(log.end());
  }
}

async function openLog(path: string | undefined) {
  if (path === undefined) return undefined;
  await mkdir(dirname(path), { recursive: true });
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
