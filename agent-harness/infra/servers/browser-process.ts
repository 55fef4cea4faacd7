import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { errorNumber, HarnessError } from "../../shared/errors.ts";
import { removeFolder } from "../../shared/paths.ts";
import type { Chromium } from "../embedded/chromium.ts";

const startLimitMs = 20_000;

const flags = [
  "--headless",
  "--remote-debugging-port=0",
  // Chromium ends by itself when this pipe closes: it cannot outlive us, whatever kills us.
  "--remote-debugging-pipe",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-breakpad",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

/** A Chromium of one client. */
export interface BrowserProcess {
  pid: number;
  /** Port of its DevTools on 127.0.0.1. */
  port: number;
  /** Path of its browser endpoint there. */
  path: string;
  /** Resolves when it ended, whoever ended it. */
  ended: Promise<void>;
  /** Ends it and everything it started, and deletes its profile. */
  stop(): Promise<void>;
}

/** Starts a Chromium with a profile of its own below `profiles`; BROWSER_UNAVAILABLE with its last words when it does not come up. */
export async function startBrowser(chromium: Chromium, profiles: string): Promise<BrowserProcess> {
  try {
    return await launch(chromium, profiles, []);
  } catch (error) {
    // Ubuntu forbids the sandbox's user namespaces to programs that it does not know.
    const noSandbox =
      error instanceof HarnessError && /sandbox/i.test(error.message) && !chromium.args.includes("--no-sandbox");
    if (!noSandbox) throw error;
    return await launch(chromium, profiles, ["--no-sandbox"]);
  }
}

async function launch(chromium: Chromium, profiles: string, extra: string[]): Promise<BrowserProcess> {
  await mkdir(profiles, { recursive: true, mode: 0o700 });
  const profile = await mkdtemp(join(profiles, "profile-"));
  const args = [...flags, ...chromium.args, ...extra, `--user-data-dir=${profile}`, "about:blank"];
  const child = spawn(chromium.path, args, {
    // A group of its own, which is ended as a whole.
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], LANG: process.env["LANG"] ?? "C.UTF-8", HOME: profile, ...chromium.env },
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const stop = async (): Promise<void> => {
    killGroup(child.pid);
    await ended;
    await removeFolder(profile, profiles);
  };
  try {
    const { port, path } = await endpointOf(child);
    return { pid: child.pid ?? 0, port, path, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function endpointOf(child: ChildProcess): Promise<{ port: number; path: string }> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (what: string, cause?: Error): void => {
      clearTimeout(limit);
      reject(new HarnessError("BROWSER_UNAVAILABLE", `Chromium ${what}. ${said.trim().slice(-500)}`, { cause }));
    };
    const limit = setTimeout(() => fail(`did not come up within ${startLimitMs / 1000} s`), startLimitMs);
    child.once("error", (error) => fail(`could not be started: ${error.message}`, error));
    child.once("exit", (code, signal) => fail(`ended at once (${signal ?? code})`));
    // Read to the end, or it would wait for us once the pipe is full.
    for (const stream of child.stdio.slice(3)) stream?.on("error", () => undefined);
    child.stdio[4]?.on("data", () => undefined);
    child.stderr?.on("data", (chunk: Buffer) => {
      if (said.length < 16_384) said += chunk.toString("utf8");
      const [, port, path] = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)(\/\S+)/.exec(said) ?? [];
      if (port === undefined || path === undefined) return;
      clearTimeout(limit);
      resolve({ port: Number(port), path });
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (errorNumber(error) !== "ESRCH") throw error;
  }
}
