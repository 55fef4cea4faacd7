import { spawn } from "node:child_process";
import { mkdir, open, rm } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { errorNumber, errorText, HarnessError } from "./errors.ts";
import { findText } from "./files.ts";
import { withLock } from "./lock.ts";
import { findMarked, killAll } from "./process-tree.ts";

/* The life of the PM2 daemon; processes.ts talks to it. */

/** How long PM2 may take for one call, in ms. */
const callLimitMs = 20_000;

/**
 * Starts the daemon ourselves, with a clean environment: PM2's own client would hand it the whole environment of
 * whoever came first, and its folder, which could then not be deleted. `program` is PM2's own.
 */
export async function ensureDaemon(home: string, program: string): Promise<void> {
  if (await daemonAnswers(home)) return;
  await mkdir(home, { recursive: true, mode: 0o700 });
  await withLock(join(home, "lock"), { doing: "starting the PM2 daemon" }, async () => {
    if (await daemonAnswers(home)) return;
    // Sockets of a daemon that was killed: a connect would be refused, a bind too.
    for (const name of ["rpc.sock", "pub.sock"]) await rm(join(home, name), { force: true });
    for (const folder of ["logs", "pids", "modules"]) await mkdir(join(home, folder), { recursive: true });
    await spawnDaemon(home, program);
  });
}

async function spawnDaemon(home: string, program: string): Promise<void> {
  const log = await open(join(home, "pm2.log"), "a", 0o600);
  const env = Object.fromEntries(
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"].flatMap((key) => {
      const value = process.env[key];
      return value === undefined ? [] : [[key, value]];
    }),
  );
  const daemon = spawn(process.execPath, [program], {
    cwd: home,
    detached: true,
    env: { ...env, PM2_HOME: home, SILENT: "true" },
    stdio: ["ignore", log.fd, log.fd, "ipc"],
  });
  try {
    await call("daemon", (done) => {
      daemon.once("error", done);
      daemon.once("exit", (code) =>
        done(new Error(`it ended at once with code ${code}; see ${join(home, "pm2.log")}`)),
      );
      daemon.once("message", () => done(null));
    });
  } finally {
    if (daemon.connected) daemon.disconnect();
    daemon.removeAllListeners();
    daemon.unref();
    await log.close();
  }
}

/** Whether a daemon listens in this home. */
export function daemonAnswers(home: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(home, "rpc.sock"));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (cause) => {
      // No file, or a file whose daemon is gone. Anything else is no proof that there is none: a second one would be started.
      if (["ENOENT", "ECONNREFUSED"].includes(errorNumber(cause) ?? "")) resolve(false);
      else reject(new HarnessError("PM2_UNAVAILABLE", `PM2 cannot be asked: ${errorText(cause)}`, { hint, cause }));
    });
  });
}

/** A PM2 daemon of a home. */
export interface DaemonFacts {
  pid: number;
  /** Of the PM2 that it was started from. */
  version: string;
}

/** Every daemon of this home that runs, also one that nobody can reach any more. Its title names its version. */
export async function listDaemons(home: string): Promise<DaemonFacts[]> {
  return (await findMarked("PM2_HOME", home)).flatMap(({ pid, command }) => {
    const version = /^PM2 v([^\s:]+): God Daemon/.exec(command)?.[1];
    return version === undefined ? [] : [{ pid, version }];
  });
}

/** Ends the daemon and all it runs, by signal: PM2's own call needs the connection that has to be closed before. */
export async function stopDaemon(home: string): Promise<void> {
  const pid = Number(await findText(join(home, "pm2.pid")));
  // Known by its environment: its title names the home too, but is cut off where it is long.
  const ours = await findMarked("PM2_HOME", home);
  const daemon = ours.find((one) => one.pid === pid && one.command.includes("God Daemon"));
  // It stops what it runs before it ends.
  if (daemon !== undefined) await killAll([daemon], { graceMs: callLimitMs });
  for (const name of ["rpc.sock", "pub.sock", "pm2.pid"]) await rm(join(home, name), { force: true });
}

/** Turns a callback into a promise with a limit: some of PM2's calls never come back. */
export async function call<T>(
  what: string,
  run: (done: (error: unknown, result?: T) => void) => void,
): Promise<T | undefined> {
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        new HarnessError("PM2_UNAVAILABLE", `PM2 did not answer "${what}" within ${callLimitMs / 1000} s.`, { hint }),
      );
    }, callLimitMs);
    run((error, result) => {
      clearTimeout(timer);
      const cause = first(error);
      if (!cause) return resolve(result);
      reject(new HarnessError("PM2_UNAVAILABLE", `PM2 could not ${what}: ${errorText(cause)}`, { hint, cause }));
    });
  });
}

const hint = "Run: agent-harness infra down && agent-harness infra up";

/** PM2 rejects with an array of errors where it started several. */
export const first = (error: unknown): unknown => (Array.isArray(error) ? error[0] : error);
