import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { errorNumber, HarnessError } from "../shared/errors.ts";

const exec = promisify(execFile);

/* The one place that runs git. */

/** Inside a git hook these would make git answer for another repository. */
function ownEnv(): NodeJS.ProcessEnv {
  const { GIT_DIR: _dir, GIT_WORK_TREE: _tree, GIT_INDEX_FILE: _index, ...env } = process.env;
  // Nobody is there to type a password.
  return { ...env, GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
}

export interface GitOptions {
  /** Variables on top of our own, such as GIT_INDEX_FILE. */
  env?: Readonly<Record<string, string>>;
  /** Exit codes besides 0 that are an answer, not a failure. */
  exitCodes?: readonly number[];
}

/**
 * Git stumbles over the record of another worktree that is just being made: there, and not yet written. Of one whose
 * making was killed this goes on, so it is waited for no longer than this.
 */
const halfWritten = /failed to read \S*worktrees\/\S+: /;
const waitMs = 50;
const mostWaits = 20;

/** Runs git in a folder and returns what it printed. GIT_FAILED with git's own words when it fails. */
export async function git(folder: string, args: readonly string[], options: GitOptions = {}): Promise<string> {
  try {
    return await run(folder, args, { ...ownEnv(), ...options.env });
  } catch (cause) {
    const ended = cause as { code?: unknown; stdout?: string };
    if (typeof ended.code === "number" && options.exitCodes?.includes(ended.code)) return ended.stdout ?? "";
    if (errorNumber(cause) === "ENOENT") {
      throw new HarnessError("PROGRAM_MISSING", "git was not found.", { hint: "Install git.", cause });
    }
    const { stderr = "" } = cause as { stderr?: string };
    throw new HarnessError("GIT_FAILED", `git ${args.join(" ")} failed in ${folder}: ${stderr.trim()}`, {
      hint: "Mend what git says, then run the same command again.",
      cause,
    });
  }
}

async function run(folder: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  for (let waits = 0; ; waits += 1) {
    try {
      const { stdout } = await exec("git", ["-C", folder, ...args], { env, maxBuffer: 256 * 1024 * 1024 });
      return stdout;
    } catch (error) {
      const { stderr = "" } = error as { stderr?: string };
      if (waits === mostWaits || !halfWritten.test(stderr)) throw error;
      await delay(waitMs);
    }
  }
}

/** What git printed, without the end of the line; undefined where it fails: no repository, no such name. */
export async function tryGit(
  folder: string,
  args: readonly string[],
  options: GitOptions = {},
): Promise<string | undefined> {
  try {
    return (await git(folder, args, options)).trimEnd();
  } catch (error) {
    if (error instanceof HarnessError) return undefined;
    throw error;
  }
}

/** The parts of git's output that end in a zero byte (`-z`): names, whatever is in them. */
export const zeroEnded = (text: string): string[] => text.split("\0").filter((part) => part !== "");
