import { join, resolve } from "node:path";
import {
  type BuildStep,
  type ChosenStrategy,
  chooseStrategy,
  ensureTemplateDatabase,
  fingerprintOf,
  type Infra,
  listDatabases,
  listTemplateDatabases,
  maintenanceDatabase,
  readServerFacts,
  type ServerFacts,
  type Sql,
  type Stamp,
  type TemplateSource,
  withSql,
} from "../infra/index.ts";
import { HarnessError } from "../shared/errors.ts";
import { templateDatabaseName } from "../shared/names.ts";
import { type Progress, withStep } from "../shared/progress.ts";
import { binPath, commandWords } from "../shared/words.ts";
import { processEnv, stackEnv, stackPorts, stackValues } from "./env.ts";
import { fillCommand } from "./plan.ts";
import type { Project } from "./project.ts";

/** A template database that can be cloned now, and how. */
export interface ReadyTemplate extends ChosenStrategy {
  name: string;
  fingerprint: string;
  sizeBytes: number;
  /** Whether the project's files have changed since it was built. */
  stale: boolean;
  /** Whether this call built it. */
  built: boolean;
}

/** What the template database of a project is made from. */
export function templateSource(project: Project, infra: Infra): TemplateSource {
  const { config, folder } = project;
  const ports = stackPorts(config.ports, 0);
  const valuesFor = (database: string) =>
    stackValues({ id: 0, project: project.name, workdir: folder, ports, infra, database, bucket: "default" });
  const envFor = (database: string) => stackEnv(valuesFor(database), config.env);
  const steps = config.database.build.map((step): BuildStep => {
    const { run, cwd } = typeof step === "object" && !Array.isArray(step) ? step : { run: step, cwd: "." };
    return { words: commandWords(run), cwd: resolve(folder, cwd) };
  });
  const argvFor = (step: BuildStep, database: string): string[] =>
    fillCommand(step.words, `database.build.${steps.indexOf(step)}`, valuesFor(database), envFor(database));
  // A name that cannot be filled in is refused now, while there is nothing to leave behind.
  for (const step of steps) argvFor(step, "template");
  return {
    project: project.name,
    repository: project.repository,
    folder,
    inputs: config.database.inputs,
    steps,
    extensions: config.database.extensions,
    envFor: (database) => processEnv(envFor(database), binPath(folder, folder)),
    argvFor,
  };
}

export interface TemplateOptions {
  project: Project;
  /** The same project where it can be built, while a new worktree has no programs yet. (Default: `project`) */
  builder?: Project;
  infra: Infra;
  progress: Progress;
  /** `current` builds when the files changed; `any` takes the newest one that there is, and builds only when there is none. */
  want: "current" | "any";
}

/** Finds or builds the template database of a project and chooses how it is cloned. */
export async function readyTemplate(options: TemplateOptions): Promise<ReadyTemplate> {
  const { project, infra, progress, want } = options;
  const source = templateSource(project, infra);
  // One connection for both: each costs a launch ten milliseconds.
  const { facts, fingerprint, found } = await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const server = await readServerFacts(sql, infra.postgres.reflink);
    const hash = await fingerprintOf(source, server.major);
    return { facts: server, fingerprint: hash, found: await findUsable(sql, infra, hash, project, want) };
  });
  if (found !== undefined) return describe(project, facts, found, found.fingerprint !== fingerprint, false);
  if (options.builder !== undefined && options.builder !== project) {
    return {
      ...(await readyTemplate({ project: options.builder, infra, progress, want: "any" })),
      stale: want === "current",
    };
  }
  const logFile = join(project.paths.logs, `template-${fingerprint.slice(0, 12)}.log`);
  const { built } = await withStep(
    progress,
    "template database",
    () =>
      ensureTemplateDatabase({
        server: infra.postgres,
        machine: infra.machine,
        source,
        fingerprint,
        logFile,
        progress,
      }),
    ({ name }) => name,
  );
  const made = await withSql(infra.postgres, maintenanceDatabase, (sql) =>
    findUsable(sql, infra, fingerprint, project, "current"),
  );
  if (made === undefined) {
    throw new HarnessError(
      "TEMPLATE_DATABASE_NOT_FOUND",
      `${templateDatabaseName(fingerprint)} was dropped right after it was built.`,
      {
        hint: "Run: agent-harness setup",
      },
    );
  }
  return describe(project, facts, made, false, built);
}

interface Usable {
  name: string;
  fingerprint: string;
  sizeBytes: number;
}

async function findUsable(
  sql: Sql,
  infra: Infra,
  fingerprint: string,
  project: Project,
  want: "current" | "any",
): Promise<Usable | undefined> {
  const named = await listDatabases(sql, templateDatabaseName(fingerprint));
  const current = named.find((one) => one.stamp?.kind === "template" && !one.broken);
  if (current !== undefined) return { name: current.name, fingerprint, sizeBytes: current.sizeBytes };
  if (want === "current") return undefined;
  const older = (await listTemplateDatabases(sql, infra.machine)).find(
    (one) => isOf(project, one.stamp) && !one.broken,
  );
  if (older === undefined) return undefined;
  return { name: older.name, fingerprint: String(older.stamp?.["fingerprint"]), sizeBytes: older.sizeBytes };
}

/** Whether a stamp is of this project. By its name alone it could be another's: the name defaults to the folder's. */
export const isOf = (project: Project, stamp: Stamp | undefined): boolean =>
  stamp?.["project"] === project.name && stamp["repository"] === project.repository;

function describe(project: Project, facts: ServerFacts, found: Usable, stale: boolean, built: boolean): ReadyTemplate {
  return { ...chooseStrategy(facts, found.sizeBytes, project.config.database.strategy), ...found, stale, built };
}
