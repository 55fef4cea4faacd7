import { join } from "node:path";
import { findDatabase, maintenanceDatabase, stampStatement, withSql, writtenStampOf } from "../../infra/index.ts";
import { errorText, HarnessError } from "../../shared/errors.ts";
import { databaseName } from "../../shared/names.ts";
import { stackFolder } from "../../shared/paths.ts";
import { preloadProcesses } from "../../shared/processes.ts";
import { runCommand } from "../../shared/run-command.ts";
import { processEnv, stackPath } from "../env.ts";
import { markVariable, type PlannedStep, stackMark } from "../plan.ts";
import { entryOf, type LaunchContext, type Resource } from "../resource.ts";
import { processes } from "./processes.ts";

/**
 * What the config runs in a fresh clone: secrets that were encrypted for the template database, rows that name it. Done
 * once for each database, whose mark says so even when the ledger is lost; it goes with the database, so there is nothing
 * of its own to destroy.
 */
export const afterClone: Resource = {
  kind: "after-clone",

  ensure: async (context) => {
    const oid = entryOf(context.ledger, "database")?.["oid"];
    if (oid !== undefined && entryOf(context.ledger, "after-clone")?.["oid"] === oid) return { oid };
    if (context.plan.afterClone.length === 0 || (await isDone(context))) return { oid };
    // A step of a killed launch may run on. What is under PM2 ran on an earlier database, and is started anew anyhow.
    await processes.destroy(context);
    for (const step of context.plan.afterClone) await runStep(step, context);
    await markDone(context);
    return { oid };
  },

  destroy: async () => undefined,
  exists: async () => undefined,
};

async function isDone({ infra, ledger }: LaunchContext): Promise<boolean> {
  const name = databaseName(ledger.id);
  const found = await withSql(infra.postgres, maintenanceDatabase, (sql) => findDatabase(sql, name));
  return found?.stamp?.["afterClone"] === true;
}

async function markDone(context: LaunchContext): Promise<void> {
  const name = databaseName(context.ledger.id);
  await withSql(context.infra.postgres, maintenanceDatabase, async (sql) => {
    const found = await findDatabase(sql, name);
    if (found?.stamp === undefined) return;
    // What these steps wrote is nothing that a teardown would have to keep.
    const written = await writtenStampOf(sql, found.oid);
    await sql.query(stampStatement(name, { ...found.stamp, ...written, afterClone: true }));
  });
}

async function runStep(step: PlannedStep, context: LaunchContext): Promise<void> {
  if (step.type === "sql") return await runSql(step.sql, context);
  const { plan, paths, ledger, infra } = context;
  const logFile = join(stackFolder(ledger.id, paths.home), "logs", "after-clone.log");
  preloadProcesses(paths.pm2);
  const { exitCode, tail } = await runCommand(step.argv, {
    cwd: step.cwd,
    env: processEnv(
      { ...plan.env, [markVariable]: stackMark(infra.machine, ledger.id) },
      stackPath(plan.workdir, step.cwd),
    ),
    logFile,
    onLine: (text) => context.progress({ type: "detail", step: "after-clone", text }),
  });
  if (exitCode === 0) return;
  throw failed(context, `"${step.label}" exited with ${exitCode} after the clone.\n${tail.join("\n")}`, logFile);
}

async function runSql(sql: string, context: LaunchContext): Promise<void> {
  const name = databaseName(context.ledger.id);
  try {
    await withSql(context.infra.postgres, name, (inside) => inside.query(sql));
  } catch (cause) {
    if (cause instanceof HarnessError) throw cause;
    throw failed(context, `The after-clone SQL failed in ${name}: ${errorText(cause)}`, undefined, cause);
  }
}

function failed({ ledger }: LaunchContext, message: string, logFile?: string, cause?: unknown): HarnessError {
  return new HarnessError("AFTER_CLONE_FAILED", message, {
    hint: `Mend database.afterClone in agent-harness.yml, then run: agent-harness launch ${ledger.id}`,
    leftBehind: `the database, bucket and files of agent ${ledger.id}; its processes were not started${
      logFile === undefined ? "" : `; the whole output is in ${logFile}`
    }`,
    cause,
  });
}
