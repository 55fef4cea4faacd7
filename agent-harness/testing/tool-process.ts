import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/* What a scripted model has a coding agent's shell tool do, seen from outside: a process that tells its id, a gate to wait at. */

/** A shell command that says who it is in `tool.pid` and then sleeps for ten minutes. */
export const sleeper = "echo $$ > tool.pid; exec sleep 611";

/** A shell command that goes on when the gate is opened. */
export const gate = "while [ ! -e go ]; do sleep 0.05; done";

/** Opens the gate in a working directory. */
export const openGate = (cwd: string): void => writeFileSync(join(cwd, "go"), "");

/** The id that the sleeper wrote; undefined before. */
export function sleeperPid(cwd: string): number | undefined {
  const path = join(cwd, "tool.pid");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  return text.endsWith("\n") ? Number(text) : undefined;
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
