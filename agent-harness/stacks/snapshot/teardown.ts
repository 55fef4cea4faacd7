import {
  dropDatabase,
  endSessions,
  findSnapshotDatabases,
  type Infra,
  isUnwritten,
  keepBucket,
  maintenanceDatabase,
  openBuckets,
  putInPlace,
  requireSnapshotPlace,
  type Sql,
  type StoredSnapshot,
  snapshotStamp,
  whileAlone,
  withSql,
} from "../../infra/index.ts";
import { ago } from "../../shared/ago.ts";
import { loadConfig } from "../../shared/config.ts";
import { configSchema, type ProjectConfig } from "../../shared/config-schema.ts";
import { errorText, HarnessError } from "../../shared/errors.ts";
import { lockHolder, withLock } from "../../shared/lock.ts";
import { beforeTeardown, bucketName, snapshotDatabaseName } from "../../shared/names.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { type Progress, withStep } from "../../shared/progress.ts";
import { findLedger } from "../ledger.ts";
import { stackLock } from "../registry.ts";
import type { StackContext } from "../resource.ts";
import {
  type AgentDatabase,
  clearStrays,
  dropBucketsOf,
  dropWhole,
  factsOf,
  findAgentDatabase,
  findSnapshot,
} from "./source.ts";

const dayMs = 86_400_000;

/** What a teardown keeps, for people. */
export const keptText = (id: number): string => `the snapshot ${beforeTeardown} of agent ${id}`;

/** The snapshot settings of a config; the usual ones where it was deleted or broken since: then nothing is lost. */
export async function snapshotSettings(
  configPath: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ProjectConfig["snapshots"]> {
  try {
    return (await loadConfig({ explicit: configPath, env })).config.snapshots;
  } catch (error) {
    if (!(error instanceof HarnessError) || error.kind !== "config") throw error;
    return configSchema.parse({}).snapshots;
  }
}

/**
 * Whether a teardown would keep the stack's data. Not when nothing was written since the clone and no object was put, nor when
 * a reset or restore was interrupted: what is there then was given up already, or is half of what a snapshot has.
 */
export async function isWorthKeeping(context: StackContext): Promise<boolean> {
  const { infra, ledger } = context;
  return await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const found = await findWorth(sql, context);
    return found !== undefined && (!(await isUnwritten(sql, found)) || (await hasObjects(infra, ledger.id)));
  });
}

async function findWorth(sql: Sql, { infra, ledger }: StackContext): Promise<AgentDatabase | undefined> {
  if (ledger.resetting === true || ledger.restoring !== undefined) return undefined;
  try {
    return await findAgentDatabase(sql, infra, ledger.id);
  } catch (error) {
    // Not ours: teardown leaves it alone.
    if (error instanceof HarnessError && error.code === "NAME_FOREIGN") return undefined;
    throw error;
  }
}

async function hasObjects({ s3, machine }: Infra, id: number): Promise<boolean> {
  const buckets = openBuckets(s3);
  const name = bucketName(id);
  const marker = await buckets.marker(name);
  return marker?.["machine"] === machine && marker["id"] === id && (await buckets.hasObjects(name));
}

/**
 * Keeps the data of a stack whose processes are stopped as its snapshot `before-teardown`, in place of an earlier one: the bucket
 * is copied when there is something in it, then the database renamed. Returns whether there was something to keep.
 */
export async function keepData(context: StackContext, keepDays: number): Promise<boolean> {
  const { infra, ledger, progress } = context;
  const { id } = ledger;
  return await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const found = await findWorth(sql, context);
    if (found === undefined) return false;
    // What they wrote counts when they have ended.
    await endSessions(sql, found.name);
    const objects = await hasObjects(infra, id);
    if (!objects && (await isUnwritten(sql, found))) return false;
    await requireSnapshotPlace(sql, infra.machine, id, beforeTeardown);
    const run = () => keep(sql, context, found, { objects, keepDays });
    await withStep(progress, "snapshot", run, () => beforeTeardown);
    return true;
  });
}

/** Takes away what killed commands on the snapshots of a stack left, and what the one of its teardown replaced. */
export async function clearStraysOf({ infra, ledger }: StackContext): Promise<void> {
  await withSql(infra.postgres, maintenanceDatabase, (sql) => clearStrays(sql, infra, ledger.id));
}

async function keep(
  sql: Sql,
  { infra, ledger }: StackContext,
  source: AgentDatabase,
  { objects, keepDays }: { objects: boolean; keepDays: number },
): Promise<void> {
  const { id } = ledger;
  const none: Awaited<ReturnType<typeof keepBucket>> = { objects: 0, objectBytes: 0 };
  const kept = objects ? await keepBucket(infra, { from: bucketName(id), id, name: beforeTeardown }) : none;
  const facts = {
    ...factsOf(source, ledger, beforeTeardown),
    expiresAt: new Date(Date.now() + keepDays * dayMs).toISOString(),
    ...kept,
  };
  const before = await findSnapshot(sql, infra, id, beforeTeardown);
  const { result: trash } = await whileAlone(infra.postgres, { database: source.name, graceMs: 0 }, () =>
    putInPlace(sql, {
      from: source.name,
      to: snapshotDatabaseName(id, beforeTeardown),
      stamp: snapshotStamp(infra.machine, facts),
      open: false,
    }),
  );
  if (trash !== undefined) await dropDatabase(sql, trash);
  if (before !== undefined) await dropBucketsOf(sql, infra, before);
}

/**
 * Drops the snapshots of teardowns whose time is over, of any agent; one whose stack is being worked on waits for the next time.
 * A failure is told and goes no further: it is no reason for whatever this comes behind to fail.
 */
export async function dropExpired(paths: HomePaths, infra: Infra, progress: Progress): Promise<void> {
  try {
    await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
      const all = await findSnapshotDatabases(sql, infra.machine);
      for (const snapshot of all.filter(isExpired)) {
        const lock = stackLock(paths, snapshot.id);
        if ((await lockHolder(lock)) !== undefined) continue;
        const doing = `dropping an old snapshot of agent ${snapshot.id}`;
        await withLock(lock, { doing }, () => dropIfExpired({ sql, paths, infra, progress }, snapshot));
      }
    });
  } catch (error) {
    progress({ type: "note", text: `Old snapshots were not dropped: ${errorText(error)}` });
  }
}

const isExpired = ({ expiresAt }: StoredSnapshot): boolean =>
  expiresAt !== undefined && Date.parse(expiresAt) <= Date.now();

/** Looks again: a teardown may have put another one in its place before the lock was had. */
async function dropIfExpired(
  { sql, paths, infra, progress }: { sql: Sql; paths: HomePaths; infra: Infra; progress: Progress },
  { id, database, name }: StoredSnapshot,
): Promise<void> {
  const still = (await findSnapshotDatabases(sql, infra.machine, id)).find((one) => one.database === database);
  const restoring = (await findLedger(paths, id))?.restoring === name;
  if (still !== undefined && isExpired(still) && !restoring) await dropWhole(sql, infra, still, progress);
}

/** Says that what an earlier teardown of this agent kept can be had back. */
export async function tellOfKept({ infra, ledger, progress }: StackContext): Promise<void> {
  const { id, repository } = ledger;
  const kept = await withSql(infra.postgres, maintenanceDatabase, (sql) =>
    findSnapshot(sql, infra, id, beforeTeardown),
  );
  if (kept?.repository !== repository) return;
  progress({
    type: "note",
    text: `The data that agent ${id} had at its teardown ${ago(kept.createdAt)} can be had back: agent-harness snapshot restore ${id} ${beforeTeardown}`,
  });
}
