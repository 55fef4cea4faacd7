import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { delimiter, dirname, isAbsolute } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "../shared/errors.ts";
import { findMarked, killAll, killTree } from "../shared/process-tree.ts";
import { binPath, findExecutable } from "../shared/words.ts";
import { type OutputSink, openOutput, type StreamName } from "./output.ts";

/** Marks every process that a command starts, so that one that left its tree can still be stopped. */
const markVariable = "AGENT_HARNESS_VERIFY";
/** How long a command that ended may leave its output open in something it started. */
const lingerMs = 1000;
/** How long the output may stay open after everything was killed. */
const closeMs = 3000;

export interface RunRequest {
  argv: readonly string[];
  cwd: string;
  workdir: string;
  env: Readonly<Record<string, string>>;
  logFile: string;
  onLine: (stream: StreamName, line: string) => void;
  /** Stops the command and everything it started. */
  signal: AbortSignal;
}

/** How a command ended; `notStarted` says why it never ran. */
export type RunOutcome = { exitCode: number | null; signal: string | null } | { notStarted: string };

/** Runs one command, without a shell, to its end. Throws only when its output cannot be kept (a full disk). */
export async function runProgram(request: RunRequest): Promise<RunOutcome> {
  const output = openOutput(request.logFile, request.onLine);
  try {
    const outcome = await start(request, output);
    if ("notStarted" in outcome) output.remark(outcome.notStarted);
    return outcome;
  } finally {
    output.close();
  }
}

async function start(request: RunRequest, output: OutputSink): Promise<RunOutcome> {
  const [name = "", ...args] = request.argv;
  if (!existsSync(request.cwd)) return { notStarted: `${name} was not started: its folder ${request.cwd} is missing` };
  const path = searchPath(request);
  const program = await findExecutable(name, { cwd: request.cwd, path });
  if (program === undefined) return { notStarted: `${name} was not started: no such program in PATH` };
  if (request.signal.aborted) return { exitCode: null, signal: "SIGTERM" };
  const mark = randomUUID();
  const env = { ...request.env, PATH: path.join(delimiter), [markVariable]: mark };
  const ended = await watch({ program, args, cwd: request.cwd, env, mark }, request.signal, output);
  if (ended.failure !== undefined) throw ended.failure;
  const { cause, exitCode, signal } = ended;
  // The program is there; what is missing is the interpreter that its first line names.
  if (cause !== undefined) return { notStarted: `${name} was not started: ${errorText(cause)}` };
  return { exitCode, signal };
}

/** The project's own programs first, then PATH in its own order; this Node's folder (often /usr/bin) must not shadow it. */
function searchPath(request: RunRequest): string[] {
  const nodeFolder = dirname(process.execPath);
  const bins = binPath(request.workdir, request.cwd, { PATH: "" }).filter((folder) => folder !== nodeFolder);
  const own = (request.env["PATH"] ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
  return [...new Set([...bins, ...own, nodeFolder])];
}

interface Launch {
  program: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
  mark: string;
}

interface Ended {
  exitCode: number | null;
  signal: string | null;
  cause: unknown;
  /** The output could not be kept. */
  failure: unknown;
}

async function watch(launch: Launch, signal: AbortSignal, output: OutputSink): Promise<Ended> {
  const { $ } = await import("zx/core");
  let child: ChildProcess | undefined;
  let failure: unknown;
  let stopping: Promise<void> | undefined;
  const stop = (): void => {
    if (child !== undefined) stopping ??= stopEverything(child, launch.mark).catch((error) => giveUp(error));
  };
  // Nothing that goes wrong here may hang the stage or be lost: it is thrown when the command has ended.
  const giveUp = (error: unknown): void => {
    failure ??= error;
    child?.kill("SIGKILL");
    child?.stdout?.destroy();
    child?.stderr?.destroy();
  };
  const keep = (write: () => void): void => {
    if (failure !== undefined) return;
    try {
      write();
    } catch (error) {
      failure = error;
      stop();
    }
  };
  const running = $({
    cwd: launch.cwd,
    env: launch.env,
    quiet: true,
    nothrow: true,
    stdio: ["ignore", "pipe", "pipe"],
    // zx would keep the whole output and go through a shell; we want neither.
    store: keepNothing(),
    spawn: ((_line: string, _args: string[], options: object) => {
      child = spawn(launch.program, launch.args, { ...options, shell: false });
      return child;
    }) as typeof spawn,
  })`${launch.program}`;
  for (const name of ["stdout", "stderr"] as const) {
    child?.[name]?.on("data", (chunk: Buffer) => keep(() => output.write(name, chunk)));
  }
  let linger: NodeJS.Timeout | undefined;
  child?.once("exit", () => {
    linger = setTimeout(() => {
      keep(() => output.remark("it ended and left something running that held its output open; that was stopped"));
      stop();
    }, lingerMs);
  });
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const result = await running;
  clearTimeout(linger);
  signal.removeEventListener("abort", stop);
  await stopping;
  return { exitCode: result.exitCode, signal: result.signal, cause: result.cause ?? undefined, failure };
}

async function stopEverything(child: ChildProcess, mark: string): Promise<void> {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) await killTree(child.pid);
  await killAll(await findMarked(markVariable, mark));
  const end = performance.now() + closeMs;
  while (!isClosed(child) && performance.now() < end) await delay(25);
  // Whoever still holds the other end is not ours to kill; we stop listening.
  child.stdout?.destroy();
  child.stderr?.destroy();
}

const isClosed = (child: ChildProcess): boolean => (child.stdout?.closed ?? true) && (child.stderr?.closed ?? true);

/** A place for zx to keep the output in, that does not. */
function keepNothing() {
  const nothing = <T>(): T[] => Object.assign([] as T[], { push: () => 0 });
  return { stdout: nothing<Buffer>(), stderr: nothing<Buffer>(), stdall: nothing<Buffer>() };
}
