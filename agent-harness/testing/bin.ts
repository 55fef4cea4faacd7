import { execFile } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../shared/paths.ts";
import type { Printed } from "./harness.ts";

export interface BinOptions {
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Run as this user, when we are root. */
  user?: { uid: number; gid: number };
}

/** Runs one of the built programs (`agent-harness`, `agent-cli`, `verify`) in a process of its own. */
export async function runBin(program: string, argv: readonly string[], options: BinOptions): Promise<Printed> {
  const { cwd, env, user } = options;
  const script = join(packageRoot(), "dist", "bin", `${program}.js`);
  return await new Promise((resolve) => {
    const child = execFile(process.execPath, [script, ...argv], { cwd, env, ...user }, (_, stdout, stderr) => {
      resolve({ exitCode: child.exitCode ?? -1, stdout, stderr });
    });
  });
}
