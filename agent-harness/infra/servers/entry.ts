import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorNumber, errorText, HarnessError } from "../../shared/errors.ts";

/** What a server of the embedded driver gives to whoever started it. */
export interface RunningServer {
  /** The port it listens on; the one asked for, or the one the system gave for port 0. */
  port: number;
  /** Ends every connection and child; resolves when the port is free again. */
  stop(): Promise<void>;
}

/** How long a server may take to stop; whoever asked for it counts on 1.5 s. */
const stopLimitMs = 1200;

/**
 * Runs a server when its file is what Node was asked to run (by itself or under PM2), and does nothing when it was imported.
 * SIGINT and SIGTERM stop it; what it cannot start with is one line on stderr and exit code 1.
 */
export async function runWhenEntry(
  moduleUrl: string,
  name: string,
  start: () => Promise<RunningServer>,
): Promise<void> {
  if (!isEntry(moduleUrl)) return;
  try {
    const server = await start();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void leave(server));
    process.stdout.write(`${name}: listening on 127.0.0.1:${server.port}\n`);
  } catch (error) {
    const hint = error instanceof HarnessError && error.hint !== undefined ? ` ${error.hint}` : "";
    process.stderr.write(`${name}: ${errorText(error).replaceAll("\n", " ")}${hint}\n`);
    process.exit(1);
  }
}

async function leave(server: RunningServer): Promise<void> {
  setTimeout(() => process.exit(0), stopLimitMs).unref();
  await server.stop();
  process.exit(0);
}

function isEntry(moduleUrl: string): boolean {
  const file = realpathSync(fileURLToPath(moduleUrl));
  // Under PM2 the program's first argument is PM2's own wrapper; this variable holds the script.
  const asked = [process.argv[1], process.env["pm_exec_path"]];
  return asked.some((path) => path !== undefined && samePath(path, file));
}

function samePath(path: string, file: string): boolean {
  try {
    return realpathSync(path) === file;
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return false;
    throw error;
  }
}

/** A setting that the server cannot do without, from its environment. */
export function requireSetting(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const value = env[name];
  if (value) return value;
  throw new HarnessError("CONFIG_INVALID", `${name} is not set.`, { hint: "Start it with: agent-harness infra up" });
}

/** A setting that is a whole number, or what it is when nobody says. */
export function numberSetting(name: string, otherwise?: number, env: NodeJS.ProcessEnv = process.env): number {
  if (otherwise !== undefined && !env[name]) return otherwise;
  const text = requireSetting(name, env);
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new HarnessError("CONFIG_INVALID", `${name} is a whole number, not ${JSON.stringify(text)}.`);
}

/** Why a port could not be listened on, as one error that names it. */
export function listenError(error: unknown, port: number): HarnessError {
  if (errorNumber(error) === "EADDRINUSE") {
    return new HarnessError("PORT_TAKEN", `Port ${port} of 127.0.0.1 is in use.`, { cause: error, context: { port } });
  }
  return new HarnessError("INTERNAL", `Port ${port} of 127.0.0.1 cannot be used: ${errorText(error)}`, {
    cause: error,
  });
}
