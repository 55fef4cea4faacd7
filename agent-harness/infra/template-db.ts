import { randomBytes } from "node:crypto";
import { HarnessError } from "../shared/errors.ts";
import { poolPrefix, scratchDatabaseName, templateDatabaseName } from "../shared/names.ts";
import type { Progress } from "../shared/progress.ts";
import { runCommand } from "../shared/run-command.ts";
import {
  type DatabaseInfo,
  dropDatabase,
  endSessions,
  findDatabase,
  listDatabases,
  maintenanceDatabase,
  stampStatement,
} from "./databases.ts";
import type { BuildStep, TemplateSource } from "./fingerprint.ts";
import { buildLock, fillLock, findUnfinishedBuilds, lockOfBuild, tryAlone } from "./leftovers.ts";
import { type PostgresServer, type Sql, sqlName, withSql } from "./sql.ts";

/** Always in the template database: `slow-queries` reads it in the agent's own. */
const builtInExtensions = ["pg_stat_statements"];

export interface BuildOptions {
  server: PostgresServer;
  machine: string;
  source: TemplateSource;
  fingerprint: string;
  /** Where the output of the build steps is kept. */
  logFile: string;
  progress: Progress;
}

/**
 * Builds the template database of a fingerprint, unless it is there, and returns its name. It is built under a scratch
 * name and renamed when it is whole, so that neither a failed step nor a crash can look finished; two builders take turns.
 */
export async function ensureTemplateDatabase(options: BuildOptions): Promise<{ name: string; built: boolean }> {
  const name = templateDatabaseName(options.fingerprint);
  return await withSql(options.server, maintenanceDatabase, async (sql) => {
    await sql.query(`SELECT pg_advisory_lock(${buildLock(name)})`);
    const found = await findDatabase(sql, name);
    if (found?.stamp?.kind === "template" && !found.broken) return { name, built: false };
    if (found?.stamp?.kind === "template") await dropDatabase(sql, name);
    else if (found !== undefined) {
      throw new HarnessError("NAME_FOREIGN", `A database ${name} exists that agent-harness did not make.`, {
        hint: `Look at it, then rename or drop it: DROP DATABASE ${name}`,
      });
    }
    await build(sql, name, options);
    return { name, built: true };
  });
}

async function build(sql: Sql, name: string, options: BuildOptions): Promise<void> {
  const scratch = scratchDatabaseName(options.fingerprint, randomBytes(4).toString("hex"));
  await dropAbandoned(sql);
  // template0: nobody can be connected to it, while one session on template1 would make this fail.
  await sql.query(`CREATE DATABASE ${sqlName(scratch)} TEMPLATE template0`);
  try {
    await createExtensions(options.server, scratch, [...builtInExtensions, ...options.source.extensions]);
    for (const step of options.source.steps) await runStep(step, scratch, options);
    await withSql(options.server, scratch, (inside) => inside.query("VACUUM (ANALYZE)"));
    await publish(sql, scratch, name, options);
  } catch (error) {
    await dropDatabase(sql, scratch);
    throw error;
  }
}

async function runStep(step: BuildStep, database: string, options: BuildOptions): Promise<void> {
  const { source } = options;
  const line = step.words.join(" ");
  const { exitCode, tail } = await runCommand(source.argvFor(step, database), {
    cwd: step.cwd,
    env: source.envFor(database),
    logFile: options.logFile,
    onLine: (text) => options.progress({ type: "detail", step: "template database", text }),
  });
  if (exitCode === 0) return;
  throw new HarnessError(
    "BUILD_STEP_FAILED",
    `"${line}" exited with ${exitCode} while the template database was built.\n${tail.join("\n")}`,
    {
      hint: "Mend the step, then run: agent-harness setup",
      leftBehind: `nothing in Postgres; the whole output is in ${options.logFile}`,
      context: { step: line, exitCode, log: options.logFile },
    },
  );
}

/** Scratch databases of builds that died, of any fingerprint: whose build lock we can have, nobody is filling. */
async function dropAbandoned(sql: Sql): Promise<void> {
  for (const name of await findUnfinishedBuilds(sql)) {
    await tryAlone(sql, lockOfBuild(name), () => dropDatabase(sql, name));
  }
}

async function createExtensions(server: PostgresServer, database: string, wanted: readonly string[]): Promise<void> {
  await withSql(server, database, async (sql) => {
    const { rows } = await sql.query("SELECT name FROM pg_available_extensions");
    const available = new Set(rows.map((row) => row["name"]));
    for (const extension of wanted) {
      if (!available.has(extension)) throw extensionUnavailable(server, extension);
      await sql.query(`CREATE EXTENSION IF NOT EXISTS ${sqlName(extension)}`);
    }
  });
}

function extensionUnavailable(server: PostgresServer, extension: string): HarnessError {
  const sql = `The Postgres server at ${server.host}:${server.port} does not have the extension "${extension}".`;
  return new HarnessError("EXTENSION_UNAVAILABLE", sql, {
    hint: `Use a server that has it (infra.postgres.url in agent-harness.yml), or take it out of database.extensions.`,
    leftBehind: "nothing",
    context: { extension },
  });
}

async function publish(sql: Sql, scratch: string, name: string, options: BuildOptions): Promise<void> {
  // A step may have left a session behind, by a server that it started, say; the rename would wait 5 s for it and then fail.
  await sql.query(`ALTER DATABASE ${sqlName(scratch)} ALLOW_CONNECTIONS false`);
  await endSessions(sql, scratch);
  await sql.query("CHECKPOINT");
  const stamp = {
    machine: options.machine,
    kind: "template" as const,
    project: options.source.project,
    repository: options.source.repository,
    fingerprint: options.fingerprint,
    builtAt: new Date().toISOString(),
  };
  // One text is one transaction.
  await sql.query(
    `ALTER DATABASE ${sqlName(scratch)} RENAME TO ${sqlName(name)};
     ALTER DATABASE ${sqlName(name)} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false;
     ${stampStatement(name, stamp)}`,
  );
}

/** Every template database of this machine's harness, the newest first. */
export async function listTemplateDatabases(sql: Sql, machine: string): Promise<DatabaseInfo[]> {
  const all = await listDatabases(sql, "ah_tpl_");
  const ours = all.filter((one) => one.stamp?.kind === "template" && one.stamp.machine === machine);
  return ours.sort((a, b) => builtAt(b).localeCompare(builtAt(a)));
}

/** When a template database was built, as ISO text. */
export const builtAt = (database: Pick<DatabaseInfo, "stamp">): string => String(database.stamp?.["builtAt"] ?? "");

/** Drops a template database and its pool. Agents' databases were copied from it and live on. */
export async function dropTemplateDatabase(sql: Sql, machine: string, fingerprint: string): Promise<string[]> {
  const pool = await listDatabases(sql, poolPrefix(fingerprint));
  const template = await findDatabase(sql, templateDatabaseName(fingerprint));
  const ours = [...pool, ...(template === undefined ? [] : [template])].filter((one) => one.stamp?.machine === machine);
  for (const { name } of ours) await dropDatabase(sql, name);
  return ours.map((one) => one.name);
}

/** The same, unless somebody builds or clones it at this moment: then nothing is done, and the answer is undefined. */
export async function dropIdleTemplateDatabase(
  sql: Sql,
  machine: string,
  fingerprint: string,
): Promise<string[] | undefined> {
  return await tryAlone(sql, buildLock(templateDatabaseName(fingerprint)), () =>
    tryAlone(sql, fillLock, () => dropTemplateDatabase(sql, machine, fingerprint)),
  );
}
