import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { SqlResult } from "../infra/sql.ts";
import { packageRoot } from "../shared/paths.ts";
import { type OpenStoreOptions, openStore, type Store } from "../store/index.ts";
import type { TestPostgres } from "./postgres.ts";

/** A store's database that belongs to one test. */
export interface TestStore extends AsyncDisposable {
  options: OpenStoreOptions & { database: string };
  /** Opens it, as one daemon does; closed with the test at the latest. */
  open(options?: Partial<OpenStoreOptions>): Promise<Store>;
  /** Runs `store-process.mjs` on it, from the built program. */
  start(doing: Record<string, unknown>): StoreProcess;
  sql(text: string, values?: readonly unknown[]): Promise<SqlResult>;
}

/** Another process that has the store open. */
export interface StoreProcess {
  child: ChildProcess;
  /** The next line that it prints; undefined after its end. */
  line(): Promise<string | undefined>;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}

/** A database of its own on a test's Postgres; made when it is first opened. */
export async function openTestStore(postgres: TestPostgres): Promise<TestStore> {
  const database = `store_${randomBytes(6).toString("hex")}`;
  const options = { server: postgres.server, database };
  const open: Store[] = [];
  const processes: StoreProcess[] = [];
  return {
    options,
    open: async (more) => {
      const store = await openStore({ ...options, ...more });
      open.push(store);
      return store;
    },
    start: (doing) => {
      const started = startProcess({ ...options, ...doing });
      processes.push(started);
      return started;
    },
    sql: (text, values) => postgres.sql(database, text, values),
    [Symbol.asyncDispose]: async () => {
      for (const { child, ended } of processes) {
        child.kill("SIGKILL");
        await ended;
      }
      for (const store of open) await store[Symbol.asyncDispose]();
    },
  };
}

function startProcess(options: Record<string, unknown>): StoreProcess {
  const program = join(packageRoot(), "agent-harness", "testing", "store-process.mjs");
  const env = { ...process.env, STORE_PROCESS: JSON.stringify(options) };
  const child = spawn(process.execPath, [program], { env, stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    line: async () => {
      const { value, done } = await lines.next();
      return done ? undefined : value;
    },
    ended: once(child, "close").then(([code, signal]) => ({ code, signal, stderr })),
  };
}
