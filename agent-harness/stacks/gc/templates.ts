import {
  dropIdleTemplateDatabase,
  findDatabases,
  fingerprintOf,
  type Infra,
  listTemplateDatabases,
  maintenanceDatabase,
  readServerFacts,
  type Stamp,
  withSql,
} from "../../infra/index.ts";
import { HarnessError } from "../../shared/errors.ts";
import { isAgentId, templateDatabaseName } from "../../shared/names.ts";
import { openProject, type Project } from "../project.ts";
import { templateSource } from "../template.ts";
import type { Owners } from "./owners.ts";

/** A template database that nothing needs. */
export interface UnusedTemplate {
  name: string;
  fingerprint: string;
  reason: string;
}

export interface TemplateUse {
  owners: Pick<Owners, "claims" | "ledgers" | "owns">;
  infra: Infra;
  /** The project that the command stands in: its next launch shall find what it would take. */
  project: Project | undefined;
  env: Readonly<Record<string, string | undefined>>;
}

/**
 * The template databases that are not the newest of their project in their repository, that no living stack was cloned
 * from, and that no living stack's project would be cloned from at its next reset; and those that are broken.
 */
export async function findUnusedTemplates(use: TemplateUse): Promise<UnusedTemplate[]> {
  const { postgres, machine } = use.infra;
  const { all, stamps, major } = await withSql(postgres, maintenanceDatabase, async (sql) => ({
    all: await listTemplateDatabases(sql, machine),
    stamps: (await findDatabases(sql, "")).flatMap((one) => one.stamp ?? []),
    major: (await readServerFacts(sql, false)).major,
  }));
  const { fingerprints, unknown } = await wantedByProjects(use, major);
  for (const { kind, id, fingerprint, ...stamp } of stamps) {
    const lives = kind === "agent" && stamp.machine === machine && isAgentId(id) && use.owners.owns(id);
    if (lives) fingerprints.add(String(fingerprint));
  }
  const sound = all.filter((one) => !one.broken);
  const unused = chooseUnused(stampsOf(sound), fingerprints, unknown);
  const reason = "a DROP of it was interrupted, and nothing can be cloned from it";
  return [...unused, ...stampsOf(all.filter((one) => one.broken)).map((stamp) => describe(stamp, reason))];
}

const stampsOf = (all: readonly { stamp?: Stamp }[]): Stamp[] => all.flatMap((one) => one.stamp ?? []);

function describe({ fingerprint }: Stamp, reason: string): UnusedTemplate {
  return { name: templateDatabaseName(String(fingerprint)), fingerprint: String(fingerprint), reason };
}

/** What the projects of living stacks, and the one that the command stands in, would be cloned from as their files are now. */
async function wantedByProjects({ owners, infra, project, env }: TemplateUse, major: number) {
  const fingerprints = new Set<string>();
  const unknown = new Set<string>();
  const configs = new Map([...owners.claims, ...owners.ledgers].map((one) => [one.configPath, one]));
  const opened = [...configs].map(async ([config, owner]) => {
    try {
      fingerprints.add(await wantedBy(await openProject({ config, env }), infra, major));
    } catch (error) {
      if (!(error instanceof HarnessError)) throw error;
      // A config that cannot be read now may be read again tomorrow.
      unknown.add(projectKey(owner.project, owner.repository));
    }
  });
  await Promise.all(opened);
  if (project !== undefined) fingerprints.add(await wantedBy(project, infra, major));
  return { fingerprints, unknown };
}

const wantedBy = async (project: Project, infra: Infra, major: number): Promise<string> =>
  await fingerprintOf(templateSource(project, infra), major);

const projectKey = (project: string, repository: string): string => JSON.stringify([project, repository]);

/** Drops one with its pool; says no while somebody builds or clones. */
export async function dropUnusedTemplate(
  { postgres, machine }: Infra,
  { fingerprint }: UnusedTemplate,
): Promise<boolean> {
  const dropped = await withSql(postgres, maintenanceDatabase, (sql) =>
    dropIdleTemplateDatabase(sql, machine, fingerprint),
  );
  return dropped !== undefined;
}

/** Of the stamps of template databases, the newest first: those that are neither wanted nor the newest of their project. */
export function chooseUnused(
  templates: readonly Stamp[],
  wanted: ReadonlySet<string>,
  unknown: ReadonlySet<string>,
): UnusedTemplate[] {
  const seen = new Set<string>();
  return templates.flatMap((stamp): UnusedTemplate[] => {
    const of = projectKey(String(stamp["project"]), String(stamp["repository"] ?? ""));
    const isNewest = !seen.has(of);
    seen.add(of);
    if (isNewest || wanted.has(String(stamp["fingerprint"])) || unknown.has(of)) return [];
    return [describe(stamp, `${String(stamp["project"])} has a newer one, and no stack uses this one`)];
  });
}
