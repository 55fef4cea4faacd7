import {
  copyAside,
  dropDatabase,
  type Infra,
  keepBucket,
  maintenanceDatabase,
  putInPlace,
  requireSnapshotPlace,
  resolveInfra,
  type SnapshotFacts,
  type SnapshotInfo,
  type Sql,
  snapshotStamp,
  withSql,
} from "../infra/index.ts";
import { HarnessError } from "../shared/errors.ts";
import { beforeTeardown, bucketName, databaseName, snapshotDatabaseName } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, silent, withStep } from "../shared/progress.ts";
import { type LaunchOptions, type LaunchResult, launch } from "./launch.ts";
import { findLedger, getLedger, type Ledger } from "./ledger.ts";
import { openProject, type Project } from "./project.ts";
import { requireSameInfra } from "./same-infra.ts";
import { watchProcesses } from "./snapshot/processes.ts";
import {
  clearStrays,
  dropBucketsOf,
  dropWhole,
  factsOf,
  findAgentDatabase,
  findSnapshot,
  getSnapshot,
  strategyFor,
} from "./snapshot/source.ts";
import { withStackLock } from "./stack-lock.ts";

/** How long a transaction of the application may go on when its database is copied, in ms. */
const graceMs = 1000;

export interface SaveOptions {
  paths: HomePaths;
  id: number;
  name: string;
  /** Replace a snapshot of this name. */
  force?: boolean;
  env?: Readonly<Record<string, string | undefined>>;
  progress?: Progress;
}

export interface SaveResult {
  snapshot: SnapshotInfo;
  /** How long the database was closed to the application. */
  closedMs: number;
  /** Processes that did not get over the end of their connections and were started anew. */
  restarted: string[];
  ms: number;
}

/**
 * Keeps the database and the bucket of a stack as a snapshot. The stack goes on: its connections are ended, and new ones wait
 * for as long as the copy of the database takes. Killed at any instant, this leaves no snapshot, or a whole one.
 */
export async function saveSnapshot(options: SaveOptions): Promise<SaveResult> {
  const start = performance.now();
  const { paths, id, name, force = false, env = process.env, progress = silent } = options;
  if (name === beforeTeardown) {
    throw new HarnessError("USAGE", `${beforeTeardown} is the name of the snapshot that a teardown keeps.`, {
      hint: `Take another name: agent-harness snapshot save ${id} <name>`,
    });
  }
  return await withStackLock(paths, id, progress, async () => {
    const ledger = await getLedger(paths, id);
    requireFinished(ledger);
    const project = await openProject({ cwd: ledger.workdir, config: ledger.configPath, env });
    const infra = await resolveInfra(paths, project.config.infra, project.env);
    requireSameInfra(ledger, infra);
    const saved = await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
      await requireSnapshotPlace(sql, infra.machine, id, name);
      if (!force) await requireFree(sql, infra, id, name);
      return await save({ sql, project, infra, ledger, name, progress });
    });
    return { ...saved, ms: performance.now() - start };
  });
}

interface Saving {
  sql: Sql;
  project: Project;
  infra: Infra;
  ledger: Ledger;
  name: string;
  progress: Progress;
}

async function save(saving: Saving): Promise<Omit<SaveResult, "ms">> {
  const { sql, infra, ledger, name, progress } = saving;
  await clearStrays(sql, infra, ledger.id);
  const watch = await watchProcesses(saving.project.paths, ledger);
  try {
    const copied = await withStep(progress, "copy database", () => copyAgentDatabase(saving));
    const kept = await withStep(
      progress,
      "copy bucket",
      () => keepBucket(infra, { from: bucketName(ledger.id), id: ledger.id, name }),
      ({ objects }) => `${objects} objects`,
    );
    const facts = { ...copied.facts, ...kept };
    await withStep(progress, "snapshot", () => publish(saving, copied.copy, facts));
    const restarted = copied.ended === 0 ? [] : await watch.recover(name);
    return { snapshot: await getSnapshot(sql, infra, ledger.id, name), closedMs: copied.closedMs, restarted };
  } catch (error) {
    // What cannot be cleared up now is found by its mark, by the next command on the snapshots of this agent or by gc.
    await clearStrays(sql, infra, ledger.id).catch(() => undefined);
    throw error;
  }
}

async function copyAgentDatabase({ sql, project, infra, ledger, name }: Saving) {
  const { id } = ledger;
  const source = await findAgentDatabase(sql, infra, id);
  if (source === undefined) {
    throw new HarnessError("STACK_UNFINISHED", `The stack of agent ${id} has no database ${databaseName(id)}.`, {
      hint: `Run: agent-harness launch ${id}`,
      leftBehind: "everything: nothing was touched",
    });
  }
  const { strategy } = await strategyFor(sql, infra, source.name, project.config.database.strategy);
  const start = performance.now();
  const options = { machine: infra.machine, id, from: source.name, strategy, graceMs };
  const { copy, ended } = await copyAside(infra.postgres, sql, options);
  const facts = factsOf(source, ledger, name);
  return { copy, ended, closedMs: performance.now() - start, facts };
}

/** From here on it is there; what it replaces is taken away afterwards. */
async function publish({ sql, infra }: Saving, copy: string, facts: SnapshotFacts): Promise<void> {
  const { machine } = infra;
  const to = snapshotDatabaseName(facts.id, facts.name);
  const before = await findSnapshot(sql, infra, facts.id, facts.name);
  const trash = await putInPlace(sql, { from: copy, to, stamp: snapshotStamp(machine, facts), open: false });
  if (trash !== undefined) await dropDatabase(sql, trash);
  if (before !== undefined) await dropBucketsOf(sql, infra, before);
}

async function requireFree(sql: Sql, infra: Infra, id: number, name: string): Promise<void> {
  const taken = await findSnapshot(sql, infra, id, name);
  if (taken === undefined) return;
  const whose = `of ${taken.project} in ${taken.repository}, saved ${taken.createdAt}`;
  throw new HarnessError("SNAPSHOT_EXISTS", `Agent ${id} has a snapshot ${JSON.stringify(name)} already, ${whose}.`, {
    hint: "Take another name, or replace it with --force.",
    leftBehind: "everything: nothing was touched",
    context: { id, name, createdAt: taken.createdAt },
  });
}

/** Half of a reset or restore is nothing to keep. */
function requireFinished({ id, resetting, restoring }: Ledger): void {
  if (resetting !== true && restoring === undefined) return;
  const what = restoring === undefined ? "A reset" : `The restore of the snapshot ${JSON.stringify(restoring)}`;
  throw new HarnessError("STACK_UNFINISHED", `${what} of agent ${id} was interrupted.`, {
    hint: `Run first: agent-harness launch ${id}, which goes on with it.`,
    leftBehind: "everything: nothing was touched",
    context: { id },
  });
}

export interface RestoreOptions extends Omit<LaunchOptions, "reset" | "restore" | "worktree"> {
  /** The snapshot's name. */
  name: string;
}

/**
 * Gives a stack that is there the database and the bucket of a snapshot and starts its processes anew. It is a launch, as a
 * reset is; the snapshot stays.
 */
export async function restoreSnapshot({ name, ...options }: RestoreOptions): Promise<LaunchResult> {
  return await launch({ ...options, restore: name });
}

export interface DropOptions {
  paths: HomePaths;
  infra: Infra;
  id: number;
  name: string;
  progress?: Progress;
}

/** Drops a snapshot, with its bucket, and returns what it was. The stack of the agent need not be there. */
export async function dropSnapshot({ paths, infra, id, name, progress = silent }: DropOptions): Promise<SnapshotInfo> {
  return await withStackLock(paths, id, progress, async () => {
    const ledger = await findLedger(paths, id);
    if (ledger?.restoring === name) requireFinished(ledger);
    return await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
      const found = await getSnapshot(sql, infra, id, name);
      await dropWhole(sql, infra, found, progress);
      return found;
    });
  });
}
