import { spawn } from "node:child_process";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { type HomePaths, packageRoot } from "../shared/paths.ts";
import { processEnv } from "./env.ts";

/**
 * Runs a command of agent-harness in a process of its own, which outlives this one: what called returns at once. What it
 * does is in a log of the home.
 */
export async function startBehind(
  paths: HomePaths,
  args: readonly string[],
  { log, env = {} }: { log: string; env?: Readonly<Record<string, string>> },
): Promise<void> {
  await mkdir(paths.logs, { recursive: true, mode: 0o700 });
  const file = await open(join(paths.logs, log), "a", 0o600);
  const program = join(packageRoot(), "dist", "bin", "agent-harness.js");
  const child = spawn(process.execPath, [program, ...args], {
    cwd: paths.home,
    detached: true,
    env: { ...processEnv(env, (process.env["PATH"] ?? "").split(":")), AGENT_HARNESS_HOME: paths.home },
    stdio: ["ignore", file.fd, file.fd],
  });
  child.on("error", (error) => {
    throw error;
  });
  child.unref();
  await file.close();
}
