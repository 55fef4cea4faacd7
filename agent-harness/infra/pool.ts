import { randomBytes } from "node:crypto";
import { errorNumber, HarnessError } from "../shared/errors.ts";
import { poolPrefix, templateDatabaseName } from "../shared/names.ts";
import {
  type CloneStrategy,
  copyDatabase,
  dropDatabase,
  emptyTrash,
  findDatabase,
  findDatabases,
  maintenanceDatabase,
  type Stamp,
  stampStatement,
} from "./databases.ts";
import { fillLock, findHalfMade, findOrphanedClones, tryAlone } from "./leftovers.ts";
import { writtenStamp } from "./snapshot-written.ts";
import { type PostgresServer, type Sql, sqlName, withSql } from "./sql.ts";

export interface ClaimOptions {
  machine: string;
  /** Fingerprint of the template database. */
  fingerprint: string;
  /** The name that the claimed database gets. */
  name: string;
  /** What is written on it, besides machine and kind. */
  stamp: Record<string, unknown>;
  strategy: CloneStrategy;
}

export interface Claim {
  /** The database's own number: it stays the same when the name is given away. */
  oid: number;
  /** Whether a ready clone was there; otherwise one was made. */
  warm: boolean;
  ms: number;
}

/**
 * Gives a database to an agent: a ready clone of the pool is renamed, which takes milliseconds at any size; without one a
 * clone is made first. The database carries its mark from the moment it has its name.
 */
export async function claimDatabase(server: PostgresServer, options: ClaimOptions): Promise<Claim> {
  return await withSql(server, maintenanceDatabase, (sql) => claimWith(sql, options));
}

/** The same on an open connection. */
export async function claimWith(sql: Sql, options: ClaimOptions): Promise<Claim> {
  const start = performance.now();
  const { machine, fingerprint } = options;
  const stamp: Stamp = {
    ...options.stamp,
    machine,
    kind: "agent",
    fingerprint,
    claimedAt: new Date().toISOString(),
    ...(await writtenStamp(sql)),
  };
  // A claim that a power cut takes back is claimed again by the next launch; waiting for the disk would buy nothing.
  await sql.query("SET synchronous_commit = off");
  const warm = await takeReady(sql, options, stamp);
  if (warm !== undefined) return { oid: warm, warm: true, ms: performance.now() - start };
  await addToPool(sql, options);
  const made = await takeReady(sql, options, stamp);
  // Another launch took the clone that we made; its own is on the way to us.
  return made === undefined ? await claimWith(sql, options) : { oid: made, warm: false, ms: performance.now() - start };
}

async function takeReady(sql: Sql, options: ClaimOptions, stamp: Stamp): Promise<number | undefined> {
  await sql.query("BEGIN");
  try {
    // Held to the end of the transaction: two launches never pick the same clone.
    await sql.query("SELECT pg_advisory_xact_lock(hashtext('agent-harness claim'))");
    const [ready] = await readyClones(sql, options);
    if (ready !== undefined) {
      await sql.query(`ALTER DATABASE ${sqlName(ready.name)} RENAME TO ${sqlName(options.name)}`);
      await sql.query(stampStatement(options.name, stamp));
    }
    await sql.query("COMMIT");
    return ready?.oid;
  } catch (error) {
    await sql.query("ROLLBACK");
    throw errorNumber(error) === "42P04" ? nameForeign(options.name, error) : error;
  }
}

const nameForeign = (name: string, cause: unknown): HarnessError =>
  new HarnessError("NAME_FOREIGN", `A database ${name} exists already; it was not touched.`, {
    hint: "Look at it, then rename or drop it, and run the command again.",
    cause,
  });

/** Makes one more clone. It is for the taking when it carries its mark. */
async function addToPool(sql: Sql, options: Omit<ClaimOptions, "name" | "stamp">): Promise<void> {
  const { fingerprint, machine, strategy } = options;
  const template = templateDatabaseName(fingerprint);
  const found = await findDatabase(sql, template);
  if (found === undefined) {
    throw new HarnessError("TEMPLATE_DATABASE_NOT_FOUND", `The template database ${template} does not exist.`, {
      hint: "Run: agent-harness setup",
    });
  }
  const name = `${poolPrefix(fingerprint)}${randomBytes(4).toString("hex")}`;
  await sql.query(`SELECT pg_advisory_lock_shared(${fillLock})`);
  try {
    await copyDatabase(sql, template, name, strategy);
    await sql.query(stampStatement(name, { machine, kind: "pool", fingerprint }));
  } finally {
    await sql.query(`SELECT pg_advisory_unlock_shared(${fillLock})`);
  }
}

export interface RefillOptions {
  machine: string;
  fingerprint: string;
  strategy: CloneStrategy;
  /** How many ready clones there should be. */
  size: number;
}

/** Brings the pool to its size, drops pools of template databases that are gone, and empties the trash. One at a time. */
export async function refillPool(
  server: PostgresServer,
  options: RefillOptions,
): Promise<{ made: number; dropped: string[] }> {
  const { made, orphans } = await withSql(server, maintenanceDatabase, async (sql) => {
    await sql.query("SELECT pg_advisory_lock(hashtext($1))", [`agent-harness refill ${options.fingerprint}`]);
    let count = 0;
    await dropHalfMade(sql);
    while ((await readyCount(sql, options.fingerprint, options.machine)) < options.size) {
      await addToPool(sql, options);
      count += 1;
    }
    return { made: count, orphans: await dropOrphans(sql, options.machine) };
  });
  return { made, dropped: [...orphans, ...(await emptyTrash(server, options.machine))] };
}

/** How many clones of a template database are ready for this machine's harness. */
export async function readyCount(sql: Sql, fingerprint: string, machine: string): Promise<number> {
  return (await readyClones(sql, { fingerprint, machine })).length;
}

/** Clones for the taking, the oldest first: what carries our mark, for a server may be shared and a clone half made. */
async function readyClones(sql: Sql, { fingerprint, machine }: { fingerprint: string; machine: string }) {
  const all = await findDatabases(sql, poolPrefix(fingerprint));
  return all.filter((one) => one.stamp?.kind === "pool" && one.stamp.machine === machine && !one.broken);
}

/** Clones whose maker was killed before it could mark them. */
async function dropHalfMade(sql: Sql): Promise<void> {
  await tryAlone(sql, fillLock, async () => {
    for (const name of await findHalfMade(sql)) await dropDatabase(sql, name);
  });
}

async function dropOrphans(sql: Sql, machine: string): Promise<string[]> {
  const orphans = await findOrphanedClones(sql, machine);
  for (const name of orphans) await dropDatabase(sql, name);
  return orphans;
}
