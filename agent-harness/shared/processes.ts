import { createRequire } from "node:module";
import { join } from "node:path";
import type PM2 from "pm2";
import { errorText, HarnessError } from "./errors.ts";
import { setLargeLogAside } from "./log-file.ts";
import { call, daemonAnswers, ensureDaemon, first, stopDaemon } from "./process-daemon.ts";
import { killAll, listProcesses, treeOf } from "./process-tree.ts";

/*
 * The one home of pm2 (ADR 0005). What its API promises and what it does differ in many places; each work-around
 * below names the trap it is for.
 */

/** One process as PM2 gets it: the shape of an entry of an ecosystem file. */
export interface ProcessSpec {
  name: string;
  /** Absolute path of an executable. */
  script: string;
  args: string[];
  cwd: string;
  /** The whole environment; nothing is inherited. */
  env: Record<string, string>;
  /** One log for both streams, as a person reads a terminal. */
  logFile: string;
  /** Keep the time of each piece of output, for `decodeRecords` of log-record.ts; else the log is plain text. */
  timedLog?: boolean;
  /** The user to run as, when we are root. */
  uid?: number;
  gid?: number;
  /** How long it may take to end by itself before it is killed, in ms. (Default: 3000) */
  killTimeoutMs?: number;
}

/** What PM2 says of one process. */
export interface ProcessStatus {
  name: string;
  status: "online" | "stopping" | "stopped" | "launching" | "errored" | "one-launch-status" | "waiting restart";
  /** Absent while it does not run. */
  pid?: number;
  restarts: number;
  /** When it was last started, ms since 1970. */
  startedAt: number;
  logFile: string;
}

/** A connection to one PM2 daemon; close it, or the program never ends. */
export interface Processes extends AsyncDisposable {
  /** Starts processes anew: one of the same name is deleted first, since PM2 would keep its old folder and env. */
  start(apps: readonly App[]): Promise<void>;
  /**
   * Stops and forgets processes by their full names; unknown names are fine. Only the root of each is told to stop, and
   * what is left of its tree afterwards; with `tree` all of it at once, since wrappers such as npm pass no signal on.
   */
  remove(names: readonly string[], options?: { tree?: boolean }): Promise<void>;
  list(): Promise<ProcessStatus[]>;
  /** Ends the daemon and all it runs. */
  stopDaemon(): Promise<void>;
}

/** Connects to the PM2 daemon of `home`, starting it when it does not run. */
export async function openProcesses(home: string): Promise<Processes> {
  await ensureDaemon(home, createRequire(import.meta.url).resolve("pm2/lib/Daemon.js"));
  const pm2 = await loadPm2(home);
  await share(pm2, 1);
  let open = true;
  const close = async (): Promise<void> => {
    if (open) await share(pm2, -1);
    open = false;
  };
  return {
    start: (apps) => start(pm2, apps),
    remove: (names, options) => remove(pm2, names, options),
    list: () => list(pm2),
    stopDaemon: async () => {
      // Our end first: a client that loses its daemon goes on trying to reconnect, and the program never ends.
      await close();
      await stopDaemon(home);
    },
    [Symbol.asyncDispose]: close,
  };
}

let users = 0;
let turn: Promise<unknown> = Promise.resolve();

/**
 * PM2's client is one for the whole process, so everybody here shares its connection: the first one opens it, the last
 * one closes it, one after the other. Without that, two teardowns at once would close each other's.
 */
async function share(pm2: typeof PM2, change: 1 | -1): Promise<void> {
  const mine = turn.then(async () => {
    if (users === 0) await call("connect", (done) => pm2.connect(done));
    users += change;
    // An error here only says that the daemon closed its end first.
    if (users === 0) await new Promise((resolve) => pm2Disconnect(pm2, resolve));
  });
  turn = mine.catch(() => undefined);
  await mine;
}

/** Its types leave the callback out. */
const pm2Disconnect = (pm2: typeof PM2, done: (value?: unknown) => void): void =>
  (pm2.disconnect as (callback: () => void) => void).call(pm2, done);

/** The version of the PM2 that we bring along. */
export const supervisorVersion = (): string =>
  (createRequire(import.meta.url)("pm2/package.json") as { version: string }).version;

/** Connects only when the daemon runs already: what to use for looking and for stopping. */
export async function findProcesses(home: string): Promise<Processes | undefined> {
  return (await daemonAnswers(home)) ? await openProcesses(home) : undefined;
}

/** Loads pm2 ahead of its first use, in time that would be spent waiting. A failure shows at that use. */
export function preloadProcesses(home: string): void {
  loadPm2(home).catch(() => undefined);
}

/** PM2 reads PM2_HOME when it is loaded, so one node process can talk to one daemon only. */
async function loadPm2(home: string): Promise<typeof PM2> {
  if (loadedHome !== undefined && loadedHome !== home) {
    throw new HarnessError(
      "INTERNAL",
      `PM2 was loaded for ${loadedHome} in this process; it cannot serve ${home} too.`,
    );
  }
  if (loadedHome === undefined) {
    for (const key of Object.keys(process.env)) if (key.startsWith("PM2_")) delete process.env[key];
    Object.assign(process.env, {
      PM2_HOME: home,
      PM2_PROGRAMMATIC: "true", // no banner, no tables on our stdout
      PM2_DISCRETE_MODE: "true",
      PM2_NO_INTERACTION: "true", // no agent process of pm2.io
      PM2_CONCURRENT_ACTIONS: "8", // two at a time otherwise
    });
    loadedHome = home;
  }
  return (await import("pm2")).default;
}

let loadedHome: string | undefined;

async function start(pm2: typeof PM2, apps: readonly App[]): Promise<void> {
  if (apps.length === 0) return;
  const known = new Set((await list(pm2)).map((one) => one.name));
  await remove(
    pm2,
    apps.map((app) => app.name).filter((name) => known.has(name)),
  );
  // Now that nothing writes to them; of a log in use lines would be lost.
  await Promise.all(apps.map(({ out_file: log }) => (typeof log === "string" ? setLargeLogAside(log) : undefined)));
  await call("start", (done) => pm2.start({ apps } as unknown as PM2.StartOptions, done));
  // A process that could not be prepared is missing from the list while the call succeeds.
  const running = new Set((await list(pm2)).map((one) => one.name));
  const missing = apps.map((app) => app.name).filter((name) => !running.has(name));
  if (missing.length > 0) {
    throw new HarnessError("PM2_UNAVAILABLE", `PM2 did not start ${missing.join(", ")}.`, {
      hint: `Look into ${join(process.env["PM2_HOME"] ?? "", "pm2.log")}, then run the command again.`,
    });
  }
}

/** An entry of an ecosystem file, in PM2's own words. */
export type App = { name: string } & Record<string, unknown>;

/** The ecosystem entry of a process; a stack's entries lie in its process file. */
export function toApp(spec: ProcessSpec): App {
  return {
    name: spec.name,
    script: spec.script,
    args: spec.args,
    cwd: spec.cwd,
    interpreter: "none", // the real program is the root of its tree, not a wrapper
    env: spec.env,
    filter_env: [""], // every name contains "": nothing of the caller's environment gets in (`true` does nothing)
    out_file: spec.logFile,
    error_file: spec.logFile,
    merge_logs: true, // no "-0" put into the file's name
    ...(spec.timedLog ? { log_type: "json" } : {}),
    max_restarts: 3,
    min_uptime: 1000,
    exp_backoff_restart_delay: 100,
    treekill: false, // PM2 would also wait for zombies that pid 1 is slow to collect; remove() sees to the tree
    kill_timeout: spec.killTimeoutMs ?? 3000,
    vizion: false, // no git parsing of the folder
    ...(spec.uid === undefined ? {} : { uid: spec.uid, gid: spec.gid }),
  };
}

async function remove(pm2: typeof PM2, names: readonly string[], options: { tree?: boolean } = {}): Promise<void> {
  if (names.length === 0) return;
  const roots = (await list(pm2)).filter((one) => names.includes(one.name)).flatMap((one) => one.pid ?? []);
  const all = roots.length === 0 ? [] : await listProcesses();
  const trees = roots.flatMap((pid) => treeOf(pid, all));
  // One call a name: given several, PM2 stops at the first that it does not know.
  const deleted = Promise.all(
    names.map((name) =>
      call("delete", (done) => pm2.delete(name, (error) => done(isUnknownName(error) ? null : error))),
    ),
  );
  const children = trees.filter((one) => !roots.includes(one.pid));
  await Promise.all([deleted, options.tree ? killAll(children) : undefined]);
  // PM2 stopped the roots; what they did not take along is ours to stop.
  await killAll(trees);
}

// The last one comes when another command, or one that was killed, has it deleted at the same moment.
const isUnknownName = (error: unknown): boolean => /not found|doesn't exist|id unknown/i.test(errorText(first(error)));

async function list(pm2: typeof PM2): Promise<ProcessStatus[]> {
  const all = await call<PM2.ProcessDescription[]>("list", (done) => pm2.list(done));
  return (all ?? []).map((one) => ({
    name: one.name ?? "",
    status: statusOf(one),
    ...(one.pid ? { pid: one.pid } : {}),
    restarts: one.pm2_env?.restart_time ?? 0,
    startedAt: one.pm2_env?.pm_uptime ?? 0,
    logFile: one.pm2_env?.pm_out_log_path ?? "",
  }));
}

function statusOf({ pm2_env: env }: PM2.ProcessDescription): ProcessStatus["status"] {
  const status = (env?.status ?? "stopped") as ProcessStatus["status"];
  // With a backoff PM2 says "waiting restart" also when it has given up; only its forgotten creation time tells.
  const gaveUp = env !== undefined && "created_at" in env && env.created_at === null;
  return status === "waiting restart" && gaveUp ? "errored" : status;
}
