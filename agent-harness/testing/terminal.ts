import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "./until.ts";

const run = promisify(execFile);

/** A real terminal (tmux) with a program in it. */
export interface Terminal extends AsyncDisposable {
  /** What it shows now, a line each, without the blank ones at the end. */
  lines: () => Promise<string[]>;
  /** Waits until what it shows fits. */
  until: (what: string, fits: (text: string) => boolean, limitMs?: number) => Promise<string>;
  /** Keys, in tmux's names or as text. */
  keys: (...keys: string[]) => Promise<void>;
  resize: (columns: number, rows: number) => Promise<void>;
  /** A value of tmux's own, such as `#{alternate_on}`. */
  ask: (format: string) => Promise<string>;
}

/** Opens a terminal of its own server, so that nobody's tmux is touched. */
export async function openTerminal(
  argv: readonly string[],
  { cwd, env, columns = 120, rows = 20 }: { cwd: string; env: NodeJS.ProcessEnv; columns?: number; rows?: number },
): Promise<Terminal> {
  const folder = await mkdtemp(join(tmpdir(), "ah-tmux-"));
  const { TMUX: _tmux, ...rest } = env;
  const tmux = async (...args: string[]): Promise<string> => {
    const options = { cwd, env: { ...rest, TERM: "xterm-256color" } };
    const { stdout } = await run("tmux", ["-f", "/dev/null", "-S", join(folder, "socket"), ...args], options);
    return stdout;
  };
  const size = ["-x", String(columns), "-y", String(rows)];
  await tmux("new-session", "-d", ...size, "--", ...argv);
  const lines = async (): Promise<string[]> => (await tmux("capture-pane", "-p")).trimEnd().split("\n");
  return {
    lines,
    until: async (what, fits, limitMs = 20_000) => {
      let text = "";
      const look = async (): Promise<boolean> => {
        text = (await lines()).join("\n");
        return fits(text);
      };
      await until(what, look, limitMs).catch((error: Error) => {
        throw new Error(`${error.message}; the terminal shows:\n${text}`);
      });
      return text;
    },
    keys: async (...keys) => void (await tmux("send-keys", ...keys)),
    resize: async (width, height) => void (await tmux("resize-window", "-x", String(width), "-y", String(height))),
    ask: async (format) => (await tmux("display-message", "-p", format)).trim(),
    [Symbol.asyncDispose]: async () => {
      await tmux("kill-server");
      await rm(folder, { recursive: true });
    },
  };
}
