import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import { resourceKinds } from "../stacks/ledger.ts";
import type { SmallHarness } from "./small.ts";

const run = promisify(execFile);

/** What a real process of its own shall do to a stack. */
export interface Doing {
  verb: "launch" | "reset" | "teardown" | "save" | "restore" | "drop" | "gc";
  repo: string;
  id: number;
  /** What it is told besides, such as `{ worktree: { kind: "branch" } }`. */
  options?: Readonly<Record<string, unknown>>;
  /** Variables on top of the harness's. */
  env?: Readonly<Record<string, string>>;
}

/** The resources of a stack that has no worktree of its own. */
export const plainKinds = resourceKinds.filter((kind) => kind !== "worktree" && kind !== "install");

/** Where it kills itself; nowhere without a step. */
export interface KillAt {
  step?: string;
  event?: "start" | "done" | "detail";
  /** Killed from outside, so many ms after its start. */
  afterMs?: number;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  pid: number;
  stdout: string;
  stderr: string;
}

export interface Started {
  pid: number;
  ended: Promise<Ended>;
  /** What it has printed so far. */
  stdout: () => string;
}

/** Builds dist/, from which such processes run. */
export async function build(): Promise<void> {
  await run("npm", ["run", "build"], { cwd: packageRoot() });
}

/** Starts `crash.mjs`; `ended` comes when the process is gone. */
export function startDoing(h: SmallHarness, { verb, repo, id, options = {}, env }: Doing, at: KillAt = {}): Started {
  const program = join(packageRoot(), "agent-harness", "testing", "crash.mjs");
  const args = [program, verb, repo, String(id), at.step ?? "", at.event ?? "", JSON.stringify(options)];
  const child = spawn(process.execPath, args, {
    env: { ...h.env, ...env },
    cwd: repo,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => (printed.stdout += text));
  child.stderr.on("data", (text) => (printed.stderr += text));
  const timer = at.afterMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), at.afterMs);
  const ended = once(child, "close").then(([code, signal]) => {
    clearTimeout(timer);
    return { code, signal, pid: child.pid ?? 0, ...printed } as Ended;
  });
  return { pid: child.pid ?? 0, ended, stdout: () => printed.stdout };
}

/** Runs it up to its death, which must come. */
export async function killedWhile(
  h: SmallHarness,
  doing: Doing,
  step: string,
  event: NonNullable<KillAt["event"]>,
): Promise<void> {
  const { signal, stdout, stderr } = await startDoing(h, doing, { step, event }).ended;
  expect(signal, `${doing.verb} was not killed at ${step} ${event}:\n${stdout}${stderr}`).toBe("SIGKILL");
}
