import { maintenanceDatabase, readyCount, withSql } from "../infra/index.ts";
import { type Progress, withStep } from "../shared/progress.ts";
import { readyInfra } from "./launch.ts";
import type { Project } from "./project.ts";
import { refill } from "./refill.ts";
import { dropExpired } from "./snapshot/teardown.ts";
import { type ReadyTemplate, readyTemplate } from "./template.ts";

/** What setup left ready, and what it chose. */
export interface SetupResult {
  template: ReadyTemplate;
  pool: { made: number; ready: number; dropped: string[] };
  ms: number;
}

/** Everything that launches need, made ahead of them: infra, a current template database, a full pool. */
export async function setup(project: Project, progress: Progress): Promise<SetupResult> {
  const start = performance.now();
  const infra = await readyInfra(project, progress);
  const template = await readyTemplate({ project, infra, progress, want: "current" });
  const { made, dropped } = await withStep(
    progress,
    "pool",
    () => refill(project, progress),
    (done) => `${done.made} made`,
  );
  const ready = await withSql(infra.postgres, maintenanceDatabase, (sql) =>
    readyCount(sql, template.fingerprint, infra.machine),
  );
  await dropExpired(project.paths, infra, progress);
  return { template, pool: { made, ready, dropped }, ms: performance.now() - start };
}
