import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import type { Spawn } from "../sessions/provider.ts";
import { onLines } from "./provider-trial-lines.ts";

/* How a provider's trial runs what the plan says: a program on pipes, a program in a tmux window. The real keeper is not used. */

const run = promisify(execFile);

export interface ProgramNews {
  started(pid: number, argv: string[]): void;
  stdout(line: string): void;
  stderr(line: string): void;
  exited(code: number | null, signal: string | null): void;
}

export interface RunningProgram {
  pid: number;
  /** A line for its standard input. */
  write(line: string): void;
  /** Pastes a text and presses Enter; only in a terminal. */
  paste(text: string): Promise<void>;
  /** Presses keys by tmux's names; only in a terminal. */
  keys(keys: string[]): Promise<void>;
  /** What the terminal shows: to see why a test failed, never to decide. */
  screen(): Promise<string>;
  ended: Promise<unknown>;
  /** Ends the terminal that the program ran in. */
  close(): Promise<void>;
}

/** Starts a program on pipes. */
export async function startPiped(plan: Spawn, news: ProgramNews): Promise<RunningProgram> {
  const [program, ...rest] = plan.argv;
  const child: ChildProcessWithoutNullStreams = spawn(program, rest, { cwd: plan.cwd, env: plan.env, detached: true });
  onLines(child.stdout, news.stdout);
  onLines(child.stderr, news.stderr);
  const ended = once(child, "close").then(([code, signal]) => news.exited(code, signal));
  await once(child, "spawn");
  // A program that has ended reads no more; that it ended is told by its exit.
  child.stdin.on("error", () => undefined);
  // Not before the caller has what this returns: what the start makes necessary is written to it.
  setImmediate(() => news.started(child.pid ?? 0, plan.argv));
  const none = async (): Promise<never> => {
    throw new Error(`${program} runs on pipes: it has no terminal.`);
  };
  const write = (line: string): void => {
    child.stdin.write(`${line}\n`);
  };
  return {
    pid: child.pid ?? 0,
    write,
    paste: none,
    keys: none,
    screen: async () => "",
    ended,
    close: async () => undefined,
  };
}

/** Starts a program in the only window of a tmux server of its own, which listens at `server`. */
export async function startInTerminal(plan: Spawn, server: string, news: ProgramNews): Promise<RunningProgram> {
  const tmux = async (...args: string[]): Promise<string> =>
    (await run("tmux", ["-S", server, "-f", "/dev/null", ...args], { env: plan.env, cwd: plan.cwd })).stdout;
  await tmux("new-session", "-d", "-s", "trial", "-x", "200", "-y", "50", "-c", plan.cwd, "--", ...commandOf(plan));
  await tmux("set-option", "-g", "remain-on-exit", "on");
  const pid = Number((await tmux("display-message", "-p", "-t", "trial", "#{pane_pid}")).trim());
  news.started(pid, plan.argv);
  const state = { open: true };
  const ended = watchPane(tmux, state).then((code) => news.exited(code, null));
  return {
    pid,
    write: () => {
      throw new Error(`${plan.argv[0]} runs in a terminal: it reads no lines.`);
    },
    paste: async (text) => {
      await tmux("set-buffer", "-b", "trial", "--", text);
      await tmux("paste-buffer", "-p", "-d", "-b", "trial", "-t", "trial");
      await tmux("send-keys", "-t", "trial", "Enter");
    },
    keys: async (keys) => {
      await tmux("send-keys", "-t", "trial", ...keys);
    },
    screen: async () => await tmux("capture-pane", "-p", "-t", "trial"),
    ended,
    close: async () => {
      state.open = false;
      // The server is gone when its program ended before remain-on-exit was set.
      await tmux("kill-server").catch(() => undefined);
      await ended;
    },
  };
}

/** As the keeper starts it: a file may be its standard input. */
function commandOf({ argv, stdin }: Spawn): string[] {
  return stdin === undefined ? ["env", ...argv] : ["sh", "-c", 'exec "$@" <"$0"', stdin, "env", ...argv];
}

/** Waits until the program in the pane has ended; its exit code, null when the pane is gone with it. */
async function watchPane(
  tmux: (...args: string[]) => Promise<string>,
  state: { open: boolean },
): Promise<number | null> {
  while (state.open) {
    const shown = await tmux("display-message", "-p", "-t", "trial", "#{pane_dead}:#{pane_dead_status}").catch(
      () => "1:",
    );
    const [dead, code] = shown.trim().split(":");
    if (dead === "1") return code === undefined || code === "" ? null : Number(code);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return null;
}
