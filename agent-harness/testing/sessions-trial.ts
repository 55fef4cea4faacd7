import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Session, Sessions } from "../sessions/index.ts";
import { connectKeeper } from "../sessions/keeper-client.ts";
import { sessionFolder } from "../sessions/session-folder.ts";
import { keeperVariable, sessionFolderVariable } from "../shared/names.ts";
import { packageRoot } from "../shared/paths.ts";
import { killAll, listMarked } from "../shared/process-tree.ts";
import { openStore, type Store, type StoredEvent } from "../store/index.ts";
import { agentCliEnv } from "./agent-clis.ts";
import type { TestPostgres } from "./postgres.ts";
import { until } from "./until.ts";

/** A home with projects and sessions of the fake coding agent, and daemons that can be killed. */
export interface SessionsTrial extends AsyncDisposable {
  home: string;
  /** A working directory of project `demo`. */
  cwd: string;
  store: Store;
  /** Starts a daemon; variables are added to its environment. Another home, below the one here, has sessions of its own. */
  daemon(env?: Record<string, string>, otherHome?: string): Promise<TrialDaemon>;
  /** All events of a session. */
  events(id: string): Promise<StoredEvent[]>;
  /** Kills a session's program, and nothing else. */
  crash(id: string): Promise<void>;
  /** Command lines of what runs for any session of this home, keepers included. */
  running(): Promise<string[]>;
}

/** The methods of Sessions, in another process. */
export type TrialDaemon = Omit<Sessions, typeof Symbol.asyncDispose> & {
  pid: number;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Ends as a daemon should. */
  stop(): Promise<void>;
  /** What it reported. */
  stderr(): string;
  untilStatus(id: string, ...wanted: Session["status"][]): Promise<Session>;
};

export interface SessionsTrialOptions {
  /** The real coding agents instead of the fake one. */
  real?: boolean;
  /** What <home>/sessions.json says. */
  settings?: object;
}

/** Opens a trial with a database of its own. What it still runs when it is disposed of is ended. */
export async function openSessionsTrial(
  postgres: TestPostgres,
  { real = false, settings = {} }: SessionsTrialOptions = {},
): Promise<SessionsTrial> {
  await postgres.sql("postgres", "DROP DATABASE IF EXISTS agent_harness WITH (FORCE)");
  const home = await realpath(await mkdtemp(join(tmpdir(), "ah-s-")));
  const cwd = await realpath(await mkdtemp(join(tmpdir(), "ah-w-")));
  await writeFile(join(home, "sessions.json"), JSON.stringify(settings), { mode: 0o600 });
  const store = await openStore({ server: postgres.server });
  await store.projects.add({ name: "demo", cwd });
  const daemons: TrialDaemon[] = [];
  const marked = async () => [
    ...(await listMarked(sessionFolderVariable, (value) => value.startsWith(`${home}/`))),
    ...(await listMarked(keeperVariable, (value) => value.startsWith(`${home}/`))),
  ];
  return {
    home,
    cwd,
    store,
    daemon: async (env = {}, otherHome = home) => {
      const place = JSON.stringify({ home: otherHome, server: postgres.server, real });
      const daemon = await startDaemon(place, { ...env, AGENT_HARNESS_HOME: otherHome });
      daemons.push(daemon);
      return daemon;
    },
    events: (id) => store.events.read({ agentId: id }, { since: 0, limit: 100_000 }),
    crash: async (id) => {
      await using keeper = await connectKeeper(sessionFolder(home, id).socket);
      await keeper.signal("SIGKILL");
    },
    running: async () => (await marked()).map(({ command }) => command),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(daemons.map((one) => one.kill()));
      const left = await marked();
      await killAll(left, { graceMs: 0 });
      await store[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
      await rm(cwd, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

type Reply = { ready: true } | { n: number; result?: unknown; error?: { code?: string; message: string } };

async function startDaemon(place: string, env: Record<string, string>): Promise<TrialDaemon> {
  const program = join(packageRoot(), "agent-harness", "testing", "sessions-daemon.mjs");
  const child = fork(program, [place], {
    env: { ...agentCliEnv(env["AGENT_HARNESS_HOME"] ?? ""), ...env },
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
  });
  let stderr = "";
  child.stderr?.on("data", (text) => (stderr += text));
  const waiting = new Map<number, (reply: Exclude<Reply, { ready: true }>) => void>();
  const ready = new Promise<void>((resolve, reject) => {
    child.once("exit", () => reject(new Error(`The daemon ended: ${stderr}`)));
    child.on("message", (reply: Reply) => ("ready" in reply ? resolve() : waiting.get(reply.n)?.(reply)));
  });
  await ready;
  return daemonOf(child, waiting, () => stderr);
}

function daemonOf(
  child: ChildProcess,
  waiting: Map<number, (reply: Exclude<Reply, { ready: true }>) => void>,
  stderr: () => string,
): TrialDaemon {
  let calls = 0;
  const call = async (method: string, ...args: unknown[]): Promise<unknown> => {
    calls += 1;
    const n = calls;
    const answered = new Promise<Exclude<Reply, { ready: true }>>((resolve) => waiting.set(n, resolve));
    child.send({ n, method, args });
    const { result, error } = await answered;
    if (error !== undefined) throw Object.assign(new Error(error.message), { code: error.code });
    return result;
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  };
  const own = {
    pid: child.pid ?? 0,
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
    stderr,
    untilStatus: async (id: string, ...wanted: Session["status"][]) =>
      await until(
        `${id} to be ${wanted.join(" or ")}; ${stderr()}`,
        async () => {
          const session = (await call("get", "demo", id)) as Session;
          return wanted.includes(session.status) && session;
        },
        60_000,
      ),
  };
  return new Proxy(own, {
    get: (target, name) => {
      if (name in target) return target[name as keyof typeof target];
      // Awaited, it must not look like a promise.
      return name === "then" ? undefined : (...args: unknown[]) => call(String(name), ...args);
    },
  }) as unknown as TrialDaemon;
}
