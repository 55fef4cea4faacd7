import {
  chooseStrategy,
  dropCopies,
  dropDatabase,
  findDatabase,
  findSnapshotDatabases,
  findStrayBuckets,
  type Infra,
  listSnapshotDatabases,
  maintenanceDatabase,
  readServerFacts,
  removeSnapshotBuckets,
  type SnapshotFacts,
  type SnapshotInfo,
  type Sql,
  type Stamp,
  type StoredSnapshot,
  withSql,
} from "../../infra/index.ts";
import type { ProjectConfig } from "../../shared/config-schema.ts";
import { HarnessError } from "../../shared/errors.ts";
import { databaseName } from "../../shared/names.ts";
import { isWithin } from "../../shared/paths.ts";
import { type Progress, withStep } from "../../shared/progress.ts";
import type { Ledger } from "../ledger.ts";
import { findRepository } from "../project.ts";
import { entryOf } from "../resource.ts";

/** An agent's database, as it is there. */
export interface AgentDatabase {
  name: string;
  oid: number;
  stamp: Stamp;
}

/** The database of an agent; undefined when there is none or only the rest of one, NAME_FOREIGN when it is not one that we made for it. */
export async function findAgentDatabase(sql: Sql, infra: Infra, id: number): Promise<AgentDatabase | undefined> {
  const name = databaseName(id);
  const found = await findDatabase(sql, name);
  if (found === undefined) return undefined;
  const { oid, stamp, broken } = found;
  if (stamp?.kind === "agent" && stamp.machine === infra.machine && stamp["id"] === id) {
    return broken ? undefined : { name, oid, stamp };
  }
  throw new HarnessError("NAME_FOREIGN", `The database ${name} is not one that agent-harness made for agent ${id}.`, {
    hint: "Nothing was touched; look at it with psql before you go on.",
    leftBehind: "everything: nothing was touched",
    context: { database: name },
  });
}

/** What a snapshot of an agent's database, taken now, says of it. */
export function factsOf(
  { oid, stamp }: AgentDatabase,
  ledger: Ledger,
  name: string,
): Omit<SnapshotFacts, "bucket" | "objects" | "objectBytes"> {
  const { id, project, repository } = ledger;
  return {
    id,
    name,
    project,
    repository,
    fingerprint: String(stamp["fingerprint"] ?? ""),
    createdAt: new Date().toISOString(),
    afterClone: stamp["afterClone"] === true || entryOf(ledger, "after-clone")?.["oid"] === oid,
  };
}

/** How a database of an agent, or of a snapshot, is copied best. */
export async function strategyFor(
  sql: Sql,
  infra: Infra,
  database: string,
  wanted: ProjectConfig["database"]["strategy"],
) {
  const { rows } = await sql.query("SELECT pg_database_size($1::text)::text AS size", [database]);
  return chooseStrategy(await readServerFacts(sql, infra.postgres.reflink), Number(rows[0]?.["size"] ?? 0), wanted);
}

/**
 * Takes away what killed commands left of an agent's snapshots: scratch copies, and buckets that no snapshot names. Who calls
 * holds the stack's lock. Returns the names.
 */
export async function clearStrays(sql: Sql, infra: Infra, id: number): Promise<string[]> {
  const copies = await dropCopies(sql, infra.machine, id);
  const stray = await findStrayBuckets(infra, id, await findSnapshotDatabases(sql, infra.machine, id));
  await removeSnapshotBuckets(infra, stray);
  return [...copies, ...stray];
}

/** The snapshots of one agent, or of all; the newest first. */
export async function listSnapshots(infra: Infra, id?: number): Promise<SnapshotInfo[]> {
  return await withSql(infra.postgres, maintenanceDatabase, (sql) => listSnapshotDatabases(sql, infra.machine, id));
}

/** Those of the repository around a folder; outside of git, those of the stacks launched in it. */
export async function snapshotsOf(all: readonly SnapshotInfo[], cwd: string): Promise<SnapshotInfo[]> {
  const repository = await findRepository(cwd);
  return all.filter((one) =>
    repository === undefined ? isWithin(one.repository, cwd) : one.repository === repository,
  );
}

/** A snapshot that must be there; SNAPSHOT_NOT_FOUND names the ones there are. */
export async function getSnapshot(sql: Sql, infra: Infra, id: number, name: string): Promise<SnapshotInfo> {
  const all = await listSnapshotDatabases(sql, infra.machine, id);
  const found = all.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = all.map((one) => one.name).join(", ");
  throw new HarnessError("SNAPSHOT_NOT_FOUND", `Agent ${id} has no snapshot ${JSON.stringify(name)}.`, {
    hint: names === "" ? `Save one: agent-harness snapshot save ${id} <name>` : `There are: ${names}`,
    leftBehind: "everything: nothing was touched",
    context: { id, name, names: all.map((one) => one.name) },
  });
}

/** The database first: with it the snapshot is gone at once, and its bucket is one that no snapshot names. */
export async function dropWhole(sql: Sql, infra: Infra, snapshot: StoredSnapshot, progress: Progress): Promise<void> {
  await withStep(progress, "drop database", () => dropDatabase(sql, snapshot.database));
  await withStep(progress, "drop bucket", () => dropBucketsOf(sql, infra, snapshot));
}

/** Takes the bucket of a snapshot away that is gone, or was replaced, and what else no snapshot of its agent names. */
export async function dropBucketsOf(sql: Sql, infra: Infra, { id, bucket }: StoredSnapshot): Promise<void> {
  // By its name too: not every key may list.
  if (bucket !== undefined) await removeSnapshotBuckets(infra, [bucket]);
  await clearStrays(sql, infra, id);
}

/** A snapshot, where there is one. */
export async function findSnapshot(
  sql: Sql,
  infra: Infra,
  id: number,
  name: string,
): Promise<StoredSnapshot | undefined> {
  return (await findSnapshotDatabases(sql, infra.machine, id)).find((one) => one.name === name);
}
