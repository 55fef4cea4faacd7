import { spawn } from "node:child_process";
import { constants } from "node:os";

/** Runs a program of this machine with our own terminal and gives its exit code. */
export async function runForeground(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string>,
): Promise<number> {
  const child = spawn(program, [...args], { cwd, env, stdio: "inherit" });
  // The terminal sends these to the program too, and it decides what they mean.
  const ignore = (): void => undefined;
  for (const signal of ["SIGINT", "SIGQUIT"] as const) process.on(signal, ignore);
  // These reach us alone: what runs us (a time limit, say) means the program.
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, pass);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    for (const signal of ["SIGINT", "SIGQUIT"] as const) process.off(signal, ignore);
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.off(signal, pass);
  }
}
