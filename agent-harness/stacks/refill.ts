import { spawn } from "node:child_process";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import {
  type Infra,
  infraIsUp,
  listDatabases,
  maintenanceDatabase,
  refillPool,
  resolveInfra,
  withSql,
} from "../infra/index.ts";
import { trashDatabaseName } from "../shared/names.ts";
import { packageRoot } from "../shared/paths.ts";
import type { Progress } from "../shared/progress.ts";
import { processEnv } from "./env.ts";
import type { Project } from "./project.ts";
import { readyTemplate } from "./template.ts";

/**
 * Brings the pool of ready clones back to its size in a process of its own, which outlives this one: the launch returns
 * at once. What it does is in logs/refill.log.
 */
export async function startRefill(project: Project, infra: Infra): Promise<void> {
  if (project.config.database.pool === 0 && !(await isTrashLeft(infra))) return;
  await mkdir(project.paths.logs, { recursive: true, mode: 0o700 });
  const log = await open(join(project.paths.logs, "refill.log"), "a", 0o600);
  const program = join(packageRoot(), "dist", "bin", "agent-harness.js");
  const args = [program, "template-db", "refill", "--config", project.path];
  const settings = Object.entries(project.env).filter(([key]) => key.startsWith("AGENT_"));
  const env = processEnv(
    Object.fromEntries(settings.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    (process.env["PATH"] ?? "").split(":"),
  );
  const child = spawn(process.execPath, args, {
    cwd: project.paths.home,
    detached: true,
    env: { ...env, AGENT_HARNESS_HOME: project.paths.home },
    stdio: ["ignore", log.fd, log.fd],
  });
  child.on("error", (error) => {
    throw error;
  });
  child.unref();
  await log.close();
}

/** Without a pool a refill still has to drop what resets have put away. */
async function isTrashLeft(infra: Infra): Promise<boolean> {
  const trash = await withSql(infra.postgres, maintenanceDatabase, (sql) => listDatabases(sql, trashDatabaseName("")));
  return trash.length > 0;
}

/**
 * Brings the pool of a project's template database to its size, and empties the trash. Returns when it is done; does
 * nothing when infra is down, since it runs behind a launch, and infra may have been taken down meanwhile.
 */
export async function refill(project: Project, progress: Progress): Promise<{ made: number; dropped: string[] }> {
  const infra = await resolveInfra(project.paths, project.config.infra, project.env);
  if (!(await infraIsUp(project.paths, infra))) return { made: 0, dropped: [] };
  const template = await readyTemplate({ project, infra, progress, want: "any" });
  return await refillPool(infra.postgres, {
    machine: infra.machine,
    fingerprint: template.fingerprint,
    strategy: template.strategy,
    size: project.config.database.pool,
  });
}
