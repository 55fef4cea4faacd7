import { randomBytes } from "node:crypto";
import { z } from "zod";
import { errorNumber, HarnessError } from "../shared/errors.ts";
import {
  copyDatabaseName,
  copyPrefix,
  snapshotDatabaseName,
  snapshotDatabasePrefix,
  trashDatabaseName,
} from "../shared/names.ts";
import {
  type CloneStrategy,
  copyDatabase,
  type DatabaseInfo,
  dropDatabase,
  findDatabase,
  findDatabases,
  listDatabases,
  type Stamp,
  stampStatement,
} from "./databases.ts";
import { whileAlone } from "./snapshot-sessions.ts";
import { type PostgresServer, type Sql, sqlName } from "./sql.ts";

/*
 * A snapshot is what its database says: the mark on it names the bucket that belongs to it. The database is copied under a
 * scratch name and renamed when all the rest is there, so a snapshot comes to be, or is replaced, in one transaction.
 */

const factsSchema = z.object({
  id: z.int(),
  /** As the user gave it. */
  name: z.string(),
  project: z.string(),
  /** Main folder of the repository whose stack it is of. */
  repository: z.string(),
  /** Of the template database that the agent's was cloned from. */
  fingerprint: z.string(),
  createdAt: z.string(),
  /** When it may be dropped by itself; absent for one that stays. */
  expiresAt: z.string().optional(),
  /** Whether what the config runs after a clone has run in it. */
  afterClone: z.boolean(),
  /** Absent when there was no object to keep. */
  bucket: z.string().optional(),
  objects: z.int(),
  objectBytes: z.int(),
});

/** What is known of a snapshot. */
export type SnapshotFacts = z.output<typeof factsSchema>;

/** A snapshot that is there. */
export interface StoredSnapshot extends SnapshotFacts {
  database: string;
}

export interface SnapshotInfo extends StoredSnapshot {
  sizeBytes: number;
}

/** Every snapshot of this machine's harness, of one agent or of all; the newest first. */
export async function findSnapshotDatabases(sql: Sql, machine: string, id?: number): Promise<StoredSnapshot[]> {
  return readSnapshots(await findDatabases(sql, snapshotDatabasePrefix(id)), machine);
}

/** The same with their sizes, for which the server looks at every file. */
export async function listSnapshotDatabases(sql: Sql, machine: string, id?: number): Promise<SnapshotInfo[]> {
  const all = await listDatabases(sql, snapshotDatabasePrefix(id));
  const sizes = new Map(all.map((one) => [one.name, one.sizeBytes]));
  return readSnapshots(all, machine).map((one) => ({ ...one, sizeBytes: sizes.get(one.database) ?? 0 }));
}

function readSnapshots(all: readonly Omit<DatabaseInfo, "sizeBytes">[], machine: string): StoredSnapshot[] {
  const found = all.flatMap(({ name, stamp }) => {
    const facts =
      stamp?.kind === "snapshot" && stamp.machine === machine ? factsSchema.safeParse(stamp).data : undefined;
    return facts === undefined ? [] : [{ ...facts, database: name }];
  });
  return found.sort((a, b) => b.createdAt.localeCompare(a.createdAt));
}

export interface CopyOptions {
  machine: string;
  id: number;
  from: string;
  strategy: CloneStrategy;
  /** How long sessions on it may go on with what they do, in ms. */
  graceMs: number;
}

/**
 * Copies a database under a scratch name and returns that, with the number of sessions that had to be ended. Who calls holds
 * the lock of the agent's stack: scratch copies of this agent that are there already are dead ones'.
 */
export async function copyAside(
  server: PostgresServer,
  sql: Sql,
  { machine, id, from, strategy, graceMs }: CopyOptions,
): Promise<{ copy: string; ended: number }> {
  await dropCopies(sql, machine, id);
  const copy = copyDatabaseName(id, randomBytes(4).toString("hex"));
  const { ended } = await whileAlone(server, { database: from, graceMs }, () =>
    copyDatabase(sql, from, copy, strategy),
  );
  await sql.query(stampStatement(copy, { machine, kind: "copy", id }));
  return { copy, ended };
}

/** Drops what killed commands copied for an agent, to the one that the server is still at. Returns the names. */
export async function dropCopies(sql: Sql, machine: string, id: number): Promise<string[]> {
  // The server goes on with a copy when whoever ordered it is killed.
  await sql.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND state = 'active' AND starts_with(query, $1)`,
    [`CREATE DATABASE "${copyPrefix(id)}`],
  );
  const names = await findCopies(sql, machine, id);
  for (const name of names) await dropDatabase(sql, name);
  return names;
}

/** Scratch copies of an agent by our form of a name, marked by us or, while they were being made, by nobody. */
export async function findCopies(sql: Sql, machine: string, id: number): Promise<string[]> {
  const { rows } = await sql.query(
    "SELECT datname FROM pg_database WHERE datname ~ $1 AND shobj_description(oid, 'pg_database') IS NULL",
    [`^${copyPrefix(id)}[0-9a-f]{8}$`],
  );
  const unmarked = rows.map((row) => String(row["datname"]));
  const marked = (await findDatabases(sql, copyPrefix(id))).filter(
    (one) => one.stamp?.kind === "copy" && one.stamp.machine === machine,
  );
  return [...unmarked, ...marked.map((one) => one.name)];
}

export interface Placing {
  from: string;
  to: string;
  stamp: Stamp;
  /** Whether sessions may be opened on it from now on. */
  open: boolean;
}

/**
 * Gives a database its name and its mark; what had the name goes to the trash, all in one transaction. Returns the name
 * that the latter has now. Nobody may be connected to either: see whileAlone.
 */
export async function putInPlace(sql: Sql, { from, to, stamp, open }: Placing): Promise<string | undefined> {
  const found = await findDatabase(sql, to);
  if (found !== undefined && found.stamp?.machine !== stamp.machine) throw foreign(to);
  // What is left of one has no other way to go.
  if (found?.broken) await dropDatabase(sql, to);
  const isThere = found !== undefined && !found.broken;
  const trash = isThere ? trashDatabaseName(randomBytes(6).toString("hex")) : undefined;
  const away =
    trash === undefined
      ? []
      : [
          `ALTER DATABASE ${sqlName(to)} RENAME TO ${sqlName(trash)}`,
          `ALTER DATABASE ${sqlName(trash)} ALLOW_CONNECTIONS false`,
          stampStatement(trash, { machine: stamp.machine, kind: "trash" }),
        ];
  const placed = [
    `ALTER DATABASE ${sqlName(from)} RENAME TO ${sqlName(to)}`,
    `ALTER DATABASE ${sqlName(to)} ALLOW_CONNECTIONS ${open}`,
    stampStatement(to, stamp),
  ];
  try {
    // One text is one transaction.
    await sql.query([...away, ...placed].join(";\n"));
  } catch (error) {
    throw errorNumber(error) === "42P04" ? foreign(to, error) : error;
  }
  return trash;
}

/** The mark of a snapshot. */
export const snapshotStamp = (machine: string, facts: SnapshotFacts): Stamp => ({
  machine,
  kind: "snapshot",
  ...facts,
});

/** Throws NAME_FOREIGN when the name that a snapshot's database would have is somebody else's. */
export async function requireSnapshotPlace(sql: Sql, machine: string, id: number, name: string): Promise<void> {
  const database = snapshotDatabaseName(id, name);
  const found = await findDatabase(sql, database);
  if (found !== undefined && (found.stamp?.kind !== "snapshot" || found.stamp.machine !== machine))
    throw foreign(database);
}

const foreign = (name: string, cause?: unknown): HarnessError =>
  new HarnessError("NAME_FOREIGN", `A database ${name} exists that this harness did not make.`, {
    hint: "Look at it with psql, then rename or drop it, and run the command again.",
    leftBehind: "everything: nothing was touched",
    context: { database: name },
    cause,
  });
