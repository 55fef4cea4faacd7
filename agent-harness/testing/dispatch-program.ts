import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { DispatchReport } from "../sessions/dispatch/report.ts";
import { packageRoot } from "../shared/paths.ts";
import type { ApiDouble } from "./api-double.ts";

/** A dispatch in a process of its own. */
export interface DispatchProgram {
  child: ChildProcess;
  ended: Promise<{ exitCode: number | null; signal: string | null; stdout: string; report: DispatchReport }>;
  /** SIGKILL: it is gone when this resolves, and has no report. */
  kill(): Promise<void>;
}

export interface DispatchStart {
  api: Pick<ApiDouble, "url">;
  /** Its home, which is also where it runs. */
  home: string;
  argv: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** For its stdin; that stays open with null. */
  stdin?: string | null;
}

/** Starts the command as `--provider codex --run-id r1`, out of dist/. */
export function startDispatch({ api, home, argv, env, stdin = "" }: DispatchStart): DispatchProgram {
  const program = join(packageRoot(), "dist", "bin", "agent-harness.js");
  const child = spawn(process.execPath, [program, "dispatch", "--provider", "codex", "--run-id", "r1", ...argv], {
    cwd: home,
    env: { PATH: process.env["PATH"], AGENT_HARNESS_HOME: home, HARNESS_BASE_URL: api.url, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  if (stdin !== null) child.stdin.end(stdin);
  const closed = once(child, "close");
  const ended = Promise.all([text(child.stdout), closed]).then(([stdout, [exitCode, signal]]) => ({
    exitCode: exitCode as number | null,
    signal: signal as string | null,
    stdout,
    report: JSON.parse(stdout) as DispatchReport,
  }));
  const kill = async (): Promise<void> => {
    ended.catch(() => undefined);
    child.kill("SIGKILL");
    await closed;
  };
  return { child, ended, kill };
}
