import { chown, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HarnessError } from "../../shared/errors.ts";
import { findText } from "../../shared/files.ts";
import { type HomePaths, removeFolder } from "../../shared/paths.ts";
import type { ProcessSpec } from "../../shared/processes.ts";
import { runCommand } from "../../shared/run-command.ts";
import type { Credentials } from "../credentials.ts";
import { ensurePostgresBinaries } from "./postgres-binaries.ts";
import { ensurePostgresUser, requirePassage, type UnixUser } from "./postgres-user.ts";
import { serviceMark } from "./strays.ts";

/** What Postgres's own programs need, and nothing of the shell's. */
const cleanEnv = { LC_ALL: "C", PATH: "/usr/bin:/bin" };

/** Makes the cluster (the server's data folder) unless it is there, and returns how to run the server. */
export async function preparePostgres(
  paths: HomePaths,
  credentials: Credentials,
  options: { port: number; durability: "safe" | "throwaway"; logFile: string; name: string },
): Promise<ProcessSpec> {
  const binaries = await ensurePostgresBinaries(paths);
  const user = await ensurePostgresUser();
  await requirePassage(paths.home, user);
  await ensureCluster(paths, binaries, credentials, user);
  return {
    name: options.name,
    script: join(binaries, "bin", "postgres"),
    args: ["-D", paths.postgresData, ...serverSettings(options)],
    cwd: paths.postgresData,
    env: { ...cleanEnv, [serviceMark]: paths.home },
    logFile: options.logFile,
    // PM2's SIGINT is Postgres's fast shutdown; it writes a checkpoint, which a busy disk makes slow.
    killTimeoutMs: 20_000,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  };
}

function serverSettings(options: { port: number; durability: "safe" | "throwaway" }): string[] {
  const settings: Record<string, string> = {
    port: String(options.port),
    listen_addresses: "127.0.0.1,::1",
    // No socket file: its path could be too long, and the loopback port serves everybody.
    unix_socket_directories: "",
    max_connections: "500",
    shared_buffers: "256MB",
    max_wal_size: "4GB",
    shared_preload_libraries: "pg_stat_statements",
    "pg_stat_statements.track": "all",
    // Nothing that a person typed belongs in a log; slow queries are counted by pg_stat_statements.
    log_statement: "none",
    ...(options.durability === "safe" ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  return Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
}

async function ensureCluster(
  paths: HomePaths,
  binaries: string,
  credentials: Credentials,
  user: UnixUser | undefined,
): Promise<void> {
  const version = await findText(join(paths.postgresData, "PG_VERSION"));
  if (version !== undefined) return await requireSameMajor(version.trim(), binaries, paths);
  const parent = dirname(paths.postgresData);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  // Made aside and renamed: an initdb that was killed half-way would look like a cluster.
  const scratch = `${paths.postgresData}.new`;
  await removeFolder(scratch, paths.home);
  await mkdir(scratch, { mode: 0o700 });
  const passwordFile = join(parent, `password-${process.pid}`);
  try {
    await writeFile(passwordFile, credentials.postgres.password, { mode: 0o600 });
    if (user !== undefined) for (const path of [scratch, passwordFile]) await chown(path, user.uid, user.gid);
    await initdb(binaries, scratch, passwordFile, credentials.postgres.user, user);
  } catch (error) {
    await removeFolder(scratch, paths.home);
    throw error;
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(scratch, paths.postgresData);
}

async function initdb(
  binaries: string,
  data: string,
  passwordFile: string,
  superuser: string,
  user: UnixUser | undefined,
): Promise<void> {
  const options = [
    `--pgdata=${data}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // The same on every machine, whatever locales it has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
  ];
  const { exitCode, tail } = await runCommand([join(binaries, "bin", "initdb"), ...options], {
    cwd: data,
    env: cleanEnv,
    ...(user === undefined ? {} : { user }),
  });
  if (exitCode === 0) return;
  const full = tail.some((line) => /No space left on device|Check free disk space/.test(line));
  const code = full ? "DISK_FULL" : "POSTGRES_UNAVAILABLE";
  throw new HarnessError(code, `initdb failed with code ${exitCode}:\n${tail.join("\n")}`, {
    hint: `${full ? "Free some space" : "Mend what it says"}, then run: agent-harness infra up`,
    leftBehind: "nothing of the cluster",
  });
}

async function requireSameMajor(have: string, binaries: string, paths: HomePaths): Promise<void> {
  const { tail } = await runCommand([join(binaries, "bin", "postgres"), "--version"], { cwd: "/", env: cleanEnv });
  const major = /(\d+)/.exec(tail.join(" "))?.[1];
  if (major === have) return;
  throw new HarnessError(
    "POSTGRES_VERSION_DIFFERS",
    `The data in ${paths.postgresData} is of Postgres ${have}, the server is ${major}.`,
    {
      hint: "Everything in it can be rebuilt but the harness's own database: agent-harness infra destroy --force, then setup.",
      leftBehind: "the data, as it was",
      context: { have, server: major },
    },
  );
}
