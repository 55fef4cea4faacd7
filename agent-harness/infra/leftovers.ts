import { poolPrefix, scratchDatabaseName, templateDatabaseName, trashDatabaseName } from "../shared/names.ts";
import { dropDatabase, findDatabase, findDatabases } from "./databases.ts";
import { type Sql, sqlText } from "./sql.ts";

/*
 * Databases of ours that were on their way: clones that a killed command could not mark, clones of template databases that
 * are gone, builds that died, and what waits to be dropped. Refill and build clear up behind others; gc does all of it.
 */

/** Held (shared) while a clone is made; who gets it alone knows that a clone without a mark is a dead one's. */
export const fillLock = "hashtext('agent-harness fill')";

/** What two builders of one template database take turns on. */
export const buildLock = (template: string): string => `hashtext(${sqlText(`agent-harness build ${template}`)})`;

/** Runs `work` while nobody else holds an advisory lock; undefined when somebody does. */
export async function tryAlone<T>(sql: Sql, lock: string, work: () => Promise<T>): Promise<T | undefined> {
  const { rows } = await sql.query(`SELECT pg_try_advisory_lock(${lock}) AS alone`);
  if (rows[0]?.["alone"] !== true) return undefined;
  try {
    return await work();
  } finally {
    await sql.query(`SELECT pg_advisory_unlock(${lock})`);
  }
}

/** A database that nobody will come back for. */
export interface Leftover {
  kind: "trash-database" | "pool-database" | "scratch-database";
  name: string;
  /** Why nobody will, for people. */
  reason: string;
}

/** Every such database of this machine's harness; what somebody is working on at this moment is left out. */
export async function listLeftovers(sql: Sql, machine: string): Promise<Leftover[]> {
  const clones = await tryAlone(sql, fillLock, () => findHalfMade(sql));
  const builds: string[] = [];
  for (const name of await findUnfinishedBuilds(sql)) {
    if ((await tryAlone(sql, lockOfBuild(name), async () => true)) === true) builds.push(name);
  }
  return [
    ...(await findTrash(sql, machine)).map((name) => leftover("trash-database", name, "it was waiting to be dropped")),
    ...(await findOrphanedClones(sql, machine)).map((name) =>
      leftover("pool-database", name, "its template database is gone"),
    ),
    ...(clones ?? []).map((name) => leftover("pool-database", name, "whoever made it was killed")),
    ...builds.map((name) => leftover("scratch-database", name, "its build was killed")),
  ];
}

const leftover = (kind: Leftover["kind"], name: string, reason: string): Leftover => ({ kind, name, reason });

/** Drops one of them, after another look under the lock that its owner would hold; says whether it is gone now. */
export async function dropLeftover(sql: Sql, machine: string, { kind, name }: Leftover): Promise<boolean> {
  const drop = async (find: () => Promise<string[]>): Promise<boolean> => {
    if ((await find()).includes(name)) await dropDatabase(sql, name);
    return (await findDatabase(sql, name)) === undefined;
  };
  if (kind === "trash-database") return await drop(() => findTrash(sql, machine));
  if (kind === "scratch-database") {
    return (await tryAlone(sql, lockOfBuild(name), () => drop(() => findUnfinishedBuilds(sql)))) ?? false;
  }
  const find = async () => [...(await findOrphanedClones(sql, machine)), ...(await findHalfMade(sql))];
  return (await tryAlone(sql, fillLock, () => drop(find))) ?? false;
}

async function findTrash(sql: Sql, machine: string): Promise<string[]> {
  const all = await findDatabases(sql, trashDatabaseName(""));
  return all.filter((one) => one.stamp?.machine === machine).map((one) => one.name);
}

/** Ready clones of template databases that are gone. */
export async function findOrphanedClones(sql: Sql, machine: string): Promise<string[]> {
  const all = await findDatabases(sql, "ah_");
  const templates = new Set(all.filter((one) => one.isTemplate).map((one) => one.name));
  const orphans = all.filter(
    (one) =>
      one.stamp?.kind === "pool" &&
      one.stamp.machine === machine &&
      !templates.has(templateDatabaseName(String(one.stamp["fingerprint"]))),
  );
  return orphans.map((one) => one.name);
}

/** Clones without a mark: dead ones' for who has `fillLock` alone. */
export const findHalfMade = (sql: Sql): Promise<string[]> =>
  findUncommented(sql, `^${poolPrefix("")}[0-9a-f]{12}_[0-9a-f]{8}$`);

/** Scratch databases of builds: dead ones' for who has the build's lock. */
export const findUnfinishedBuilds = (sql: Sql): Promise<string[]> => findUncommented(sql, `^${scratch.source}`);

const scratchPrefix = scratchDatabaseName("", "").slice(0, -1);
const scratch = new RegExp(`${scratchPrefix}([0-9a-f]{12})_[0-9a-f]{8}$`);

/** The lock that the builder of a scratch database holds. */
export const lockOfBuild = (name: string): string => buildLock(templateDatabaseName(scratch.exec(name)?.[1] ?? ""));

/** By our form of a name, and with no comment: one that somebody else has written on is theirs. */
async function findUncommented(sql: Sql, pattern: string): Promise<string[]> {
  const { rows } = await sql.query(
    "SELECT datname FROM pg_database WHERE datname ~ $1 AND shobj_description(oid, 'pg_database') IS NULL ORDER BY oid",
    [pattern],
  );
  return rows.map((row) => String(row["datname"]));
}
