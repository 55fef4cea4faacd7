import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { tmuxSessionName, tmuxWindowName } from "../shared/names.ts";
import { asPasted, shellWord, tmuxArgument } from "./tmux-text.ts";

/*
 * The one home of tmux. Each session has a tmux session of its own with one window, on a server of our own: nobody's tmux is
 * touched, and nobody's configuration touches ours. The keeper uses this file too, so nothing heavy is imported.
 */

/** Where our server listens, and the window that is meant: a session's id, or a pane as tmux names it (`%3`). */
export interface TmuxTarget {
  server: string;
  window: string;
}

export interface NewWindow extends TmuxTarget {
  argv: readonly string[];
  cwd: string;
  /** Added to the environment of the window. */
  env?: Record<string, string>;
}

/** Set before the first window is made. A new line of history costs memory only once it is there. */
const options = [
  ["-g", "history-limit", "20000"],
  ["-g", "remain-on-exit", "off"],
  ["-g", "default-terminal", "screen-256color"],
  ["-g", "default-size", "200x50"],
  ["-g", "window-size", "latest"],
  ["-g", "focus-events", "on"],
  ["-g", "mouse", "on"],
  ["-g", "set-titles", "off"],
  // A name that a program gives its window would hide ours.
  ["-g", "allow-rename", "off"],
  ["-g", "automatic-rename", "off"],
  // What a person who attaches has in the environment is not for the programs of later windows.
  ["-g", "update-environment", ""],
  // An Escape that we send is one at once, not the beginning of another key.
  ["-s", "escape-time", "0"],
  // What a program copies stays in it: a clipboard is a person's.
  ["-s", "set-clipboard", "off"],
] as const;

/** How long after a text Enter is pressed, in ms: a program that gets both in one piece takes Enter for a part of the text. */
const beforeEnterMs = 150;

/** How long tmux may take for an answer, in ms: a server that was stopped gives none. */
const answerLimitMs = 15_000;

/** How often Enter is pressed when tmux does not take it. */
const mostEnters = 3;

/** How often a window is tried to be opened while others open and close it. */
const mostTries = 5;
const betweenTriesMs = 40;

/** Whether tmux can be run here. */
export async function tmuxAvailable(): Promise<boolean> {
  try {
    await run(["-V"]);
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens the window of a session. Starts our server when it does not run. Where an earlier window is just closing, or a person
 * keeps it open with a pane of their own, it comes beside that.
 */
export async function newWindow({ server, window, argv, cwd, env = {} }: NewWindow): Promise<void> {
  await mkdir(dirname(server), { recursive: true, mode: 0o700 });
  const set = options.flatMap((option) => ["set-option", ...option, ";"]);
  const more = Object.entries(env).flatMap(([name, value]) => ["-e", tmuxArgument(`${name}=${value}`)]);
  // In a folder's name tmux takes # for the beginning of a format.
  const what = [
    "-n",
    tmuxWindowName,
    "-c",
    tmuxArgument(cwd.replaceAll("#", "##")),
    ...more,
    "--",
    ...argv.map(tmuxArgument),
  ];
  const session = tmuxSessionName(window);
  // In one call: a server without a session ends at once.
  const first = ["start-server", ";", ...set, "new-session", "-d", "-s", session, ...what];
  for (let tries = 1; ; tries += 1) {
    try {
      return void (await run(["-f", "/dev/null", "-S", server, ...first], { cwd: dirname(server) }));
    } catch (error) {
      const exists = errorText(error).includes("duplicate session");
      if (tries === mostTries || !(exists || isAbsent(error))) throw error;
      // It may be gone by now, as a server may be that just lost its last session.
      if (exists && (await found({ server, window }, ["new-window", "-d", "-t", `=${session}:`, ...what]))) return;
      await delay(betweenTriesMs);
    }
  }
}

/** Whether the window is there. */
export async function hasWindow(target: TmuxTarget): Promise<boolean> {
  return await found(target, ["list-panes", "-t", paneOf(target)]);
}

/** What is done around a paste. */
export interface PasteOptions {
  /** Keys that are pressed before, after a pause. */
  first?: readonly string[];
  pauseMs?: number;
  /** The text is in the program, and Enter comes next. What fails before this has given the program nothing to do. */
  beforeEnter?: () => void;
}

/** Pastes a text as a person would, newlines and all, and presses Enter. Control characters are left out. */
export async function paste(
  target: TmuxTarget,
  text: string,
  { first = [], pauseMs = 0, beforeEnter }: PasteOptions = {},
): Promise<void> {
  const buffer = `paste-${randomUUID()}`;
  const clean = asPasted(text);
  if (clean !== "") await ask(target, ["load-buffer", "-b", buffer, "-"], clean);
  if (pauseMs > 0) await delay(pauseMs);
  if (first.length > 0) await sendKeys(target, first);
  if (clean !== "") {
    // -p: in brackets, where the program asked for that, so that no newline in the text is an Enter.
    await ask(target, [...leaveMode(target), "paste-buffer", "-p", "-d", "-b", buffer, "-t", paneOf(target)]);
    await delay(beforeEnterMs);
  }
  beforeEnter?.();
  await pressEnter(target);
}

/** The text stands in the program already: it is not pasted again for want of an Enter. */
async function pressEnter(target: TmuxTarget): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await sendKeys(target, ["Enter"]);
    } catch (error) {
      // What tmux did not answer it may still do.
      if (tries === mostEnters || isTimeout(error)) throw error;
      await delay(betweenTriesMs);
    }
  }
}

/** Presses keys, by tmux's names for them. */
export async function sendKeys(target: TmuxTarget, keys: readonly string[]): Promise<void> {
  await ask(target, [...leaveMode(target), "send-keys", "-t", paneOf(target), "--", ...keys.map(tmuxArgument)]);
}

/** Whether tmux gave no answer: it may do later what it was asked for. */
export const isTimeout = (error: unknown): boolean => error instanceof HarnessError && error.code === "TIMEOUT";

/** What a window shows, without empty lines at its end. The last resort: nothing is decided by it. */
export async function screenText(target: TmuxTarget): Promise<string> {
  return (await ask(target, ["capture-pane", "-p", "-J", "-t", paneOf(target)])).trimEnd();
}

/** A person who scrolled up has left the window in a mode in which keys are for tmux and not for the program. */
const leaveMode = (target: TmuxTarget): string[] => ["copy-mode", "-q", "-t", paneOf(target), ";"];

/** Closes a window; its program is told by SIGHUP. One that is not there is closed. */
export async function killWindow(target: TmuxTarget): Promise<void> {
  await found(target, ["kill-session", "-t", `=${tmuxSessionName(target.window)}`]);
}

/** The command with which a person opens the window in a terminal. */
export function attachCommand({ server, window }: TmuxTarget): string {
  return ["tmux", "-S", server, "attach-session", "-t", `=${tmuxSessionName(window)}`].map(shellWord).join(" ");
}

/** The window as tmux names it. */
export const tmuxTarget = (session: string): string => `${tmuxSessionName(session)}:${tmuxWindowName}`;

/** With `=` a name is taken as it is, and not as the beginning of another one. */
const paneOf = ({ window }: TmuxTarget): string => (window.startsWith("%") ? window : `=${tmuxTarget(window)}`);

const absent = /no server running|error connecting to|can't find|no current target|no such|lost server|server exited/i;

const isAbsent = (error: unknown): boolean =>
  error instanceof HarnessError && error.code === "TMUX_ERROR" && absent.test(error.message);

async function found(target: TmuxTarget, args: readonly string[]): Promise<boolean> {
  try {
    await ask(target, args);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

const ask = async ({ server }: TmuxTarget, args: readonly string[], input?: string): Promise<string> =>
  await run(["-S", server, ...args], input === undefined ? {} : { input });

/** Runs tmux. The server, which lives on, gets the environment of whoever starts it: nothing of a session is in it. */
async function run(
  args: readonly string[],
  { input = "", cwd }: { input?: string; cwd?: string } = {},
): Promise<string> {
  const env = Object.fromEntries(
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const child = spawn("tmux", ["-u", ...args], { env, cwd, stdio: ["pipe", "pipe", "pipe"] });
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, answerLimitMs);
  const printed: Record<"out" | "err", Buffer[]> = { out: [], err: [] };
  child.stdout.on("data", (chunk: Buffer) => printed.out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => printed.err.push(chunk));
  // It may end without having read all.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [code] = (await once(child, "close")
    .catch((cause: unknown) => {
      throw cannotRun(cause);
    })
    .finally(() => clearTimeout(limit))) as [number | null];
  if (late) throw noAnswer(args);
  if (code === 0) return Buffer.concat(printed.out).toString("utf8");
  const said = Buffer.concat(printed.err).toString("utf8").trim();
  throw new HarnessError("TMUX_ERROR", `tmux could not ${verbOf(args)}: ${said || `it ended with code ${code}`}.`, {
    hint: "Try again; the sessions in tmux are listed on the page /inspect of the API.",
    context: { code },
  });
}

function noAnswer(args: readonly string[]): HarnessError {
  return new HarnessError("TIMEOUT", `tmux did not answer ${verbOf(args)} within ${answerLimitMs / 1000} s.`, {
    hint: "Look at its server: ps -fC tmux",
    leftBehind: "It may still do what it was asked for.",
  });
}

function verbOf(args: readonly string[]): string {
  return args.includes("new-session")
    ? "new-session"
    : (args.find((one) => /^[a-z]+-[a-z]+$/.test(one) && one !== "copy-mode") ?? "run");
}

function cannotRun(cause: unknown): HarnessError {
  const why = errorNumber(cause) === "ENOENT" ? "it is not installed" : errorText(cause);
  return new HarnessError("TMUX_UNAVAILABLE", `tmux cannot be run: ${why}.`, {
    hint: 'Install it (Debian, Ubuntu: apt-get install tmux; macOS: brew install tmux), or run the session with runIn "headless".',
    cause,
  });
}
