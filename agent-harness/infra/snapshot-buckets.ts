import { randomBytes } from "node:crypto";
import { HarnessError } from "../shared/errors.ts";
import { snapshotBucketName, snapshotBucketPrefix } from "../shared/names.ts";
import { type Buckets, openBuckets } from "./buckets.ts";
import type { Infra } from "./services.ts";
import type { Copied } from "./snapshot-objects.ts";

/*
 * A bucket cannot be renamed, so the bucket of each snapshot has a name of its own: it is filled before the snapshot names it,
 * while the one that it replaces is still whole. What no snapshot names is what a killed command left.
 */

type Place = Pick<Infra, "s3" | "machine">;

/** Copies an agent's bucket for a snapshot; without a name in what it returns, there was nothing in it. */
export async function keepBucket(
  { s3, machine }: Place,
  { from, id, name }: { from: string; id: number; name: string },
): Promise<Copied & { bucket?: string }> {
  const buckets = openBuckets(s3);
  if (!(await buckets.exists(from)) || !(await buckets.hasObjects(from))) return { objects: 0, objectBytes: 0 };
  const bucket = snapshotBucketName(id, name, randomBytes(4).toString("hex"));
  await buckets.ensure(bucket, { machine, kind: "snapshot", id });
  return { bucket, ...(await buckets.copyAll(from, bucket, { live: true })) };
}

/** Puts the objects of a snapshot into an agent's bucket, which is there, in place of what it holds. */
export async function fillBucket({ s3 }: Place, to: string, from: string | undefined): Promise<Copied> {
  const buckets = openBuckets(s3);
  await buckets.empty(to);
  return from === undefined ? { objects: 0, objectBytes: 0 } : await buckets.copyAll(from, to);
}

/** Throws SNAPSHOT_NOT_FOUND when the bucket that a snapshot names is gone. */
export async function requireSnapshotBucket({ s3, machine }: Place, bucket: string, snapshot: string): Promise<void> {
  if (isOurs(await openBuckets(s3).marker(bucket), machine)) return;
  throw new HarnessError("SNAPSHOT_NOT_FOUND", `The bucket ${bucket} of ${snapshot} is gone, so it is not whole.`, {
    hint: "Restore another one: agent-harness snapshot list",
    leftBehind: "everything: nothing was touched",
    context: { bucket },
  });
}

/** Takes the buckets of snapshots away; gone is gone. */
export async function removeSnapshotBuckets({ s3, machine }: Place, names: readonly string[]): Promise<void> {
  const buckets = openBuckets(s3);
  for (const name of names) {
    if (isOurs(await buckets.marker(name), machine) || (await buckets.isBare(name))) await buckets.remove(name);
  }
}

/**
 * The buckets of an agent's snapshots that none of these snapshots names: marked by us, or still empty and unmarked. Who calls
 * holds the lock of the agent's stack, or a snapshot that is just being saved would be among them.
 */
export async function findStrayBuckets(
  { s3, machine }: Place,
  id: number,
  snapshots: readonly { bucket?: string | undefined }[],
): Promise<string[]> {
  const buckets = openBuckets(s3);
  const named = new Set(snapshots.map((one) => one.bucket));
  const form = new RegExp(`^${snapshotBucketPrefix(id)}[a-z0-9-]+-[0-9a-f]{8}$`);
  const stray: string[] = [];
  for (const name of await listNames(buckets)) {
    if (!form.test(name) || named.has(name)) continue;
    if (isOurs(await buckets.marker(name), machine) || (await buckets.isBare(name))) stray.push(name);
  }
  return stray;
}

/** Nothing where the key of a server elsewhere may not list: what was left there stays, and fails nothing. */
async function listNames(buckets: Buckets): Promise<string[]> {
  try {
    return await buckets.list();
  } catch (error) {
    if (error instanceof HarnessError && error.context["code"] === "AccessDenied") return [];
    throw error;
  }
}

const isOurs = (marker: Readonly<Record<string, unknown>> | undefined, machine: string): boolean =>
  marker?.["kind"] === "snapshot" && marker["machine"] === machine;
