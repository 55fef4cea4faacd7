import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureCredentials } from "../infra/credentials.ts";
import { maintenanceDatabase } from "../infra/databases.ts";
import { preparePostgres } from "../infra/embedded/postgres-cluster.ts";
import { type PostgresServer, type SqlResult, withSql } from "../infra/sql.ts";
import { homePaths } from "../shared/paths.ts";
import { freePorts } from "./ports.ts";
import { until } from "./until.ts";

/** A Postgres server of the embedded binaries that belongs to one test file; no PM2 brings it back. */
export interface TestPostgres extends AsyncDisposable {
  server: PostgresServer;
  url: string;
  home: string;
  dataFolder: string;
  child: () => ChildProcess;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Runs SQL in one of its databases. */
  sql(database: string, text: string, values?: readonly unknown[]): Promise<SqlResult>;
  /** The names of its databases that begin so. */
  names(prefix: string): Promise<string[]>;
}

/** Makes and starts one, on a free port, in a folder of its own below the temporary folder. */
export async function openTestPostgres(): Promise<TestPostgres> {
  const home = await realpath(await mkdtemp(join(tmpdir(), "ah-pg-")));
  // As root, Postgres runs as another user, who has to pass through.
  await chmod(home, 0o711);
  const paths = homePaths(home);
  const credentials = await ensureCredentials(paths);
  const [port = 0] = await freePorts(1);
  await mkdir(paths.logs);
  const logFile = join(paths.logs, "postgres.log");
  const spec = await preparePostgres(paths, credentials, { port, durability: "safe", logFile, name: "postgres" });
  const server = { host: "127.0.0.1", port, ...credentials.postgres };
  const { user, password } = credentials.postgres;
  let child: ChildProcess;
  const sql: TestPostgres["sql"] = (database, text, values) =>
    withSql(server, database, (open) => open.query(text, values));
  const start = async (): Promise<void> => {
    const { cwd, env, uid, gid } = spec;
    child = spawn(spec.script, spec.args, { cwd, env, stdio: "ignore", ...(uid && { uid }), ...(gid && { gid }) });
    await until("Postgres to answer", () => sql(maintenanceDatabase, "SELECT 1").catch(() => false as const), 30_000);
  };
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGINT");
    await once(child, "exit");
  };
  await start();
  return {
    server,
    url: `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`,
    home,
    dataFolder: paths.postgresData,
    child: () => child,
    start,
    stop,
    sql,
    names: async (prefix) => {
      const text = "SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname";
      return (await sql(maintenanceDatabase, text, [prefix])).rows.map((row) => String(row["datname"]));
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
