import {
  findCopies,
  findDatabases,
  findSnapshotDatabases,
  findStrayBuckets,
  type Infra,
  maintenanceDatabase,
  openBuckets,
  type Sql,
  withSql,
} from "../../infra/index.ts";
import { lockHolder, withLock } from "../../shared/lock.ts";
import { idOfSnapshotPart } from "../../shared/names.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { attempt, failedItem, type GcItem, type GcThing } from "../gc/items.ts";
import { stackLock } from "../registry.ts";
import { clearStrays } from "./source.ts";

interface Stray extends GcThing {
  owner: number;
}

const reason = "whoever saved or restored a snapshot was killed";

/**
 * What killed commands left of snapshots, of any agent, for gc: scratch copies of databases, and buckets that no snapshot names.
 * Snapshots themselves stay, whether their stack is there or not.
 */
export async function collectStrays(
  infra: Infra,
  { paths, dryRun }: { paths: HomePaths; dryRun: boolean },
): Promise<GcItem[]> {
  const what = { kind: "snapshot-stray", name: "every snapshot-stray" };
  const { found, failed } = await attempt(what, () => findStrays(infra));
  if (dryRun) return [...(await Promise.all(found.map((one) => wouldClear(paths, one)))), ...failed];
  const items: GcItem[] = [];
  for (const id of new Set(found.map((one) => one.owner))) {
    const own = found.filter((one) => one.owner === id);
    items.push(...(await clear(infra, { paths, id }, own)));
  }
  return [...items, ...failed];
}

async function wouldClear(paths: HomePaths, stray: Stray): Promise<GcItem> {
  const holder = await lockHolder(stackLock(paths, stray.owner));
  if (holder === undefined) return { ...stray, action: "would remove", reason };
  return { ...stray, action: "skipped", reason: `Process ${holder.pid} is busy with "${holder.doing}".` };
}

/** Under the lock that a command on the snapshots of this agent holds: what it is just making is no stray. */
async function clear(
  infra: Infra,
  { paths, id }: { paths: HomePaths; id: number },
  strays: readonly Stray[],
): Promise<GcItem[]> {
  const doing = `gc of what agent ${id} left of snapshots`;
  try {
    const gone = await withLock(stackLock(paths, id), { doing, timeoutMs: 0 }, () =>
      withSql(infra.postgres, maintenanceDatabase, (sql) => clearStrays(sql, infra, id)),
    );
    const inUse = "a command that runs now has finished it or taken it away";
    return strays.map((one) =>
      gone.includes(one.name) ? { ...one, action: "removed", reason } : { ...one, action: "skipped", reason: inUse },
    );
  } catch (error) {
    return strays.map((one) => failedItem(one, error));
  }
}

async function findStrays(infra: Infra): Promise<Stray[]> {
  return await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const databases = (await findDatabases(sql, "ah_")).map((one) => one.name);
    const names = [...databases, ...(await openBuckets(infra.s3).list())];
    const ids = new Set(names.flatMap((name) => idOfSnapshotPart(name) ?? []));
    const found = await Promise.all([...ids].map(async (id) => await straysOf(sql, infra, id)));
    return found.flat();
  });
}

async function straysOf(sql: Sql, infra: Infra, id: number): Promise<Stray[]> {
  const copies = await findCopies(sql, infra.machine, id);
  const buckets = await findStrayBuckets(infra, id, await findSnapshotDatabases(sql, infra.machine, id));
  return [...copies, ...buckets].map((name) => ({ kind: "snapshot-stray", name, owner: id }));
}
