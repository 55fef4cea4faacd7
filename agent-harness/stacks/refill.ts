import {
  findDatabases,
  type Infra,
  infraIsUp,
  maintenanceDatabase,
  refillPool,
  resolveInfra,
  withSql,
} from "../infra/index.ts";
import { trashDatabaseName } from "../shared/names.ts";
import type { Progress } from "../shared/progress.ts";
import { startBehind } from "./behind.ts";
import type { Project } from "./project.ts";
import { readyTemplate } from "./template.ts";

/**
 * Brings the pool of ready clones back to its size in a process of its own, which outlives this one: the launch returns
 * at once. What it does is in logs/refill.log.
 */
export async function startRefill(project: Project, infra: Infra): Promise<void> {
  if (project.config.database.pool === 0 && !(await isTrashLeft(infra))) return;
  const settings = Object.entries(project.env).flatMap(([key, value]) =>
    key.startsWith("AGENT_") && value !== undefined ? [[key, value]] : [],
  );
  const args = ["template-db", "refill", "--config", project.path];
  await startBehind(project.paths, args, { log: "refill.log", env: Object.fromEntries(settings) });
}

/** Without a pool a refill still has to drop what resets have put away. */
async function isTrashLeft(infra: Infra): Promise<boolean> {
  const trash = await withSql(infra.postgres, maintenanceDatabase, (sql) => findDatabases(sql, trashDatabaseName("")));
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
