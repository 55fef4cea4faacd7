import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { asHarnessError, type ErrorCode, errorCodes, errorText, HarnessError } from "../shared/errors.ts";
import { findText } from "../shared/files.ts";
import { keeperVariable } from "../shared/names.ts";
import { packageRoot } from "../shared/paths.ts";
import { connectKeeper, type KeeperStatus } from "./keeper-client.ts";
import type { KeeperPlan } from "./provider.ts";
import type { RunWay } from "./session.ts";
import { findKeeper, findKeeperRecord, type SessionFolder, writeOrder } from "./session-folder.ts";
import { hasWindow, newWindow } from "./tmux.ts";

/*
 * Starting the keeper of a session: a process of its own that owns the coding agent's program and outlives us. Without tmux
 * it is detached; in tmux it is the command of a new window. keeper-main.ts is its program.
 */

export interface StartKeeper {
  runIn: RunWay;
  /** The socket of our tmux server, for runIn "tmux". */
  tmux: string;
  /** Names this start: asked for twice, the program is started once. (Default: a new one) */
  run?: string;
}

export interface StartedKeeper {
  run: string;
  /** `ended` when the program has come to its end already; the journal says how. */
  state: "running" | "ended";
}

/** How long a keeper may take to answer, in ms: many may be started at once. */
const startLimitMs = 60_000;
const pollMs = 15;
/** How often tmux is asked whether the window is there yet, in ms. */
const windowMs = 300;

/** Starts a session's keeper with what it is to run, and waits until it runs. Throws why it does not. */
export async function startKeeper(
  place: SessionFolder,
  plan: KeeperPlan,
  options: StartKeeper,
): Promise<StartedKeeper> {
  const { run = randomUUID() } = options;
  await mkdir(place.folder, { recursive: true, mode: 0o700 });
  if ((await findKeeperRecord(place))?.run === run) return await outcome(place, run);
  await refuseSecond(place);
  await writeOrder(place, { session: place.id, run, socket: place.socket, plan });
  const logged = (await stat(place.log).catch(() => undefined))?.size ?? 0;
  const lives = options.runIn === "tmux" ? await inWindow(place, plan, options.tmux) : await detached(place);
  const end = Date.now() + startLimitMs;
  for (;;) {
    // Asked first: what it wrote before it ended is read afterwards.
    const alive = await lives();
    const started = await findStarted(place, run);
    if (started !== undefined) return started;
    if (!alive) throw await failed(place, logged);
    if (Date.now() > end) throw silent(place);
    await delay(pollMs);
  }
}

/** What became of a start that was asked for before. */
async function outcome(place: SessionFolder, run: string): Promise<StartedKeeper> {
  const end = Date.now() + startLimitMs;
  for (;;) {
    const started = await findStarted(place, run);
    if (started !== undefined) return started;
    if (Date.now() > end) throw silent(place);
    await delay(pollMs);
  }
}

function silent(place: SessionFolder): HarnessError {
  const message = `The keeper of session ${place.id} did not answer within ${startLimitMs / 1000} s.`;
  return new HarnessError("TIMEOUT", message, {
    hint: `Look at ${place.log}, then delete the session.`,
    leftBehind: "The keeper may still come up.",
  });
}

async function refuseSecond(place: SessionFolder): Promise<void> {
  const keeper = await findKeeper(place);
  if (keeper === undefined || (await statusOf(place))?.state !== "running") return;
  throw new HarnessError("LOCK_HELD", `Session ${place.id} is run by its keeper, process ${keeper.pid}.`, {
    hint: "Give it input, or end it first.",
    context: { pid: keeper.pid },
  });
}

async function findStarted(place: SessionFolder, run: string): Promise<StartedKeeper | undefined> {
  const status = await statusOf(place);
  if (status?.run === run && status.state !== "starting") return { run, state: "running" };
  if ((await findKeeperRecord(place))?.run !== run || (await findKeeper(place)) !== undefined) return undefined;
  // Read again now that it has ended: the last thing that it does is to say how it failed.
  const failure = (await findKeeperRecord(place))?.failure;
  if (failure === undefined) return { run, state: "ended" };
  const code = failure.code in errorCodes ? (failure.code as ErrorCode) : "KEEPER_FAILED";
  throw new HarnessError(code, failure.message, { hint: `See ${place.log}`, context: { session: place.id } });
}

async function statusOf(place: SessionFolder): Promise<KeeperStatus | undefined> {
  try {
    await using client = await connectKeeper(place.socket);
    return await client.status();
  } catch (error) {
    if (asHarnessError(error).code === "KEEPER_GONE") return undefined;
    throw error;
  }
}

async function failed(place: SessionFolder, logged: number): Promise<HarnessError> {
  const said = ((await findText(place.log)) ?? "").slice(logged).trim();
  return new HarnessError(
    "KEEPER_FAILED",
    `The keeper of session ${place.id} ended at once: ${said || "it said nothing"}`,
    {
      hint: `See ${place.log}`,
    },
  );
}

/** Starts it as a process of its own; the function says whether it is still there. */
async function detached(place: SessionFolder): Promise<() => Promise<boolean>> {
  const log = await open(place.log, "a", 0o600);
  try {
    const [program = "", ...args] = commandOf(place);
    const keeper = spawn(program, args, {
      cwd: place.folder,
      detached: true,
      env: { ...cleanEnv(), [keeperVariable]: place.folder },
      stdio: ["ignore", log.fd, log.fd],
    });
    await once(keeper, "spawn").catch((cause: unknown) => {
      throw new HarnessError(
        "KEEPER_FAILED",
        `The keeper of session ${place.id} cannot be started: ${errorText(cause)}`,
        {
          hint: "Look at the limits of processes and memory: ulimit -a",
          cause,
        },
      );
    });
    keeper.unref();
    return async () => isThere(keeper);
  } finally {
    await log.close();
  }
}

const isThere = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

/** Starts it in a window of tmux. */
async function inWindow(place: SessionFolder, plan: KeeperPlan, server: string): Promise<() => Promise<boolean>> {
  const target = { server, window: place.id };
  const cwd = plan.terminal?.cwd ?? place.folder;
  await newWindow({ ...target, argv: commandOf(place), cwd, env: { [keeperVariable]: place.folder } });
  let asked = Date.now();
  return async () => {
    if (Date.now() - asked < windowMs) return true;
    asked = Date.now();
    return await hasWindow(target);
  };
}

const commandOf = (place: SessionFolder): string[] => [
  process.execPath,
  join(packageRoot(), "dist", "sessions", "keeper-main.js"),
  place.folder,
];

/** What the keeper itself needs; the program gets the environment of the plan. */
function cleanEnv(): Record<string, string> {
  return Object.fromEntries(
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
