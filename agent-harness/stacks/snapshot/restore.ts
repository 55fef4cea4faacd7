import {
  copyAside,
  fillBucket,
  maintenanceDatabase,
  putInPlace,
  requireSnapshotBucket,
  type SnapshotInfo,
  type Stamp,
  whileAlone,
  withSql,
} from "../../infra/index.ts";
import type { ProjectConfig } from "../../shared/config-schema.ts";
import { HarnessError } from "../../shared/errors.ts";
import { bucketName, databaseName } from "../../shared/names.ts";
import { withStep } from "../../shared/progress.ts";
import { writeLedger } from "../ledger.ts";
import type { LaunchContext } from "../resource.ts";
import { bucket } from "../resources/bucket.ts";
import { processes } from "../resources/processes.ts";
import { clearStrays, findAgentDatabase, getSnapshot, strategyFor } from "./source.ts";

/** A snapshot that is about to take the place of an agent's data. */
export interface ReadySnapshot {
  snapshot: SnapshotInfo;
  /** The scratch copy of its database. */
  copy: string;
}

/**
 * Copies the database of a snapshot while the stack is still as it was: what cannot work (no such snapshot, one of another
 * repository, no room on the disk, a name that is somebody else's) fails here and loses nothing.
 */
export async function readySnapshot(
  context: LaunchContext,
  name: string,
  wanted: ProjectConfig["database"]["strategy"],
): Promise<ReadySnapshot> {
  const { infra, ledger, progress } = context;
  const { id } = ledger;
  return await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const snapshot = await getSnapshot(sql, infra, id, name);
    requireSameRepository(snapshot, ledger.repository);
    if (snapshot.bucket !== undefined) await requireSnapshotBucket(infra, snapshot.bucket, `the snapshot ${name}`);
    await findAgentDatabase(sql, infra, id);
    await bucket.ensure(context);
    await clearStrays(sql, infra, id);
    const { strategy } = await strategyFor(sql, infra, snapshot.database, wanted);
    const { copy } = await withStep(progress, "copy snapshot", () =>
      copyAside(infra.postgres, sql, { machine: infra.machine, id, from: snapshot.database, strategy, graceMs: 0 }),
    );
    return { snapshot, copy };
  });
}

/**
 * Puts a snapshot in the place of what the agent has. That it was begun stands in the ledger until it is done; the launch after
 * a killed restore does all of it again.
 */
export async function putBack(context: LaunchContext, { snapshot, copy }: ReadySnapshot): Promise<void> {
  const { ledger, paths, progress, infra } = context;
  ledger.restoring = snapshot.name;
  delete ledger.resetting;
  await writeLedger(paths, ledger);
  await withStep(progress, "stop processes", () => processes.destroy(context));
  await withStep(progress, "old database", () => swap(context, snapshot, copy));
  await withStep(
    progress,
    "old bucket",
    () => fillBucket(infra, bucketName(ledger.id), snapshot.bucket),
    ({ objects }) => `${objects} objects`,
  );
  ledger.resources = ledger.resources.filter((one) => !["after-clone", "processes"].includes(one.kind));
  delete ledger.restoring;
  await writeLedger(paths, ledger);
}

/** The old database goes to the trash and the copy takes its name, in one transaction. */
async function swap({ infra, ledger }: LaunchContext, snapshot: SnapshotInfo, copy: string): Promise<void> {
  const to = databaseName(ledger.id);
  const stamp: Stamp = {
    machine: infra.machine,
    kind: "agent",
    id: ledger.id,
    repository: ledger.repository,
    workdir: ledger.workdir,
    fingerprint: snapshot.fingerprint,
    claimedAt: new Date().toISOString(),
    restoredFrom: snapshot.name,
    // What runs after a clone ran in it before it was kept, and must not run twice.
    ...(snapshot.afterClone ? { afterClone: true } : {}),
  };
  await withSql(infra.postgres, maintenanceDatabase, (sql) =>
    whileAlone(infra.postgres, { database: to, graceMs: 0 }, () =>
      putInPlace(sql, { from: copy, to, stamp, open: true }),
    ),
  );
}

function requireSameRepository({ name, project, repository }: SnapshotInfo, own: string): void {
  if (repository === own) return;
  throw new HarnessError(
    "SNAPSHOT_NOT_FOUND",
    `The snapshot ${name} is of ${project} in ${repository}, not of ${own}.`,
    {
      hint: "Restore it into a stack that was launched there: agent-harness snapshot list --everywhere",
      leftBehind: "everything: nothing was touched",
      context: { name, repository },
    },
  );
}
