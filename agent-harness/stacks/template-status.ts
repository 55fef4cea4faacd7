import {
  builtAt,
  dropTemplateDatabase,
  fingerprintOf,
  type Infra,
  listTemplateDatabases,
  maintenanceDatabase,
  readServerFacts,
  readyCount,
  withSql,
} from "../infra/index.ts";
import { HarnessError } from "../shared/errors.ts";
import type { Project } from "./project.ts";
import { isOf, templateSource } from "./template.ts";

/** A template database as `template-db list` shows it. */
export interface TemplateStatus {
  name: string;
  project: string;
  /** Main folder of the repository that built it; empty where an earlier version did. */
  repository: string;
  fingerprint: string;
  builtAt: string;
  sizeBytes: number;
  /** How many clones of it are ready. */
  ready: number;
  /** Whether this project built it; another repository may have one of the same name. */
  own: boolean;
  /** Whether it is what this project's files would make now. */
  current: boolean;
  /** A DROP of it was interrupted, so that nothing can be cloned from it: the next setup builds it anew. */
  broken?: true;
}

/** Every template database of this machine, the newest first. */
export async function templateStatus(project: Project, infra: Infra): Promise<TemplateStatus[]> {
  return await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const { major } = await readServerFacts(sql, infra.postgres.reflink);
    const wanted = await fingerprintOf(templateSource(project, infra), major);
    const all = await listTemplateDatabases(sql, infra.machine);
    const found: TemplateStatus[] = [];
    for (const one of all) {
      const fingerprint = String(one.stamp?.["fingerprint"]);
      found.push({
        name: one.name,
        project: String(one.stamp?.["project"]),
        repository: String(one.stamp?.["repository"] ?? ""),
        fingerprint,
        builtAt: builtAt(one),
        sizeBytes: one.sizeBytes,
        ready: await readyCount(sql, fingerprint, infra.machine),
        own: isOf(project, one.stamp),
        current: fingerprint === wanted,
        ...(one.broken ? { broken: one.broken } : {}),
      });
    }
    return found;
  });
}

/** Drops the template databases of a project (or the one named) with their pools; stacks live on. Returns what is gone. */
export async function dropTemplates(project: Project, infra: Infra, name?: string): Promise<string[]> {
  const all = await templateStatus(project, infra);
  const chosen = all.filter((one) => (name === undefined ? one.own : one.name === name));
  if (chosen.length === 0) {
    throw new HarnessError(
      "TEMPLATE_DATABASE_NOT_FOUND",
      `There is no template database ${name ?? `of ${project.name}`}.`,
      {
        hint: "See: agent-harness template-db list",
      },
    );
  }
  return await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const dropped: string[] = [];
    for (const { fingerprint } of chosen)
      dropped.push(...(await dropTemplateDatabase(sql, infra.machine, fingerprint)));
    return dropped;
  });
}
