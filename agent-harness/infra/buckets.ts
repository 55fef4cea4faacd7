import { createRequire } from "node:module";
import type { BucketItem, Client } from "minio";
import { errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { type Copied, copyObjects } from "./snapshot-objects.ts";

/** Where an S3 server is and who we are there. */
export interface S3Connection {
  url: string;
  accessKey: string;
  secretKey: string;
  region: string;
}

/** Our stamp on a bucket: who made it, for what. `machine` tells two harnesses on one server apart. */
export type BucketMarker = Readonly<Record<string, string | number>>;

export interface Buckets {
  /** Makes the bucket and stamps it, or finds it so; says whether it was made. NAME_FOREIGN for one that is not ours. */
  ensure(name: string, marker: BucketMarker, options?: { adopt?: boolean }): Promise<{ created: boolean }>;
  exists(name: string): Promise<boolean>;
  /** The stamp of a bucket; undefined for one without, or none at all. */
  marker(name: string): Promise<BucketMarker | undefined>;
  /** Whether the bucket is there and holds nothing, not even a stamp. */
  isBare(name: string): Promise<boolean>;
  /** Whether the bucket holds anything but the stamp. */
  hasObjects(name: string): Promise<boolean>;
  /** Copies every object but the stamp into another bucket, on the server; `live` passes over what is deleted meanwhile. */
  copyAll(from: string, to: string, options?: { live?: boolean }): Promise<Copied>;
  /** Deletes everything in it but the stamp. */
  empty(name: string): Promise<void>;
  /** Deletes the bucket and all that it holds, the stamp last; gone is gone. */
  remove(name: string): Promise<void>;
  /** The names of all buckets. */
  list(): Promise<string[]>;
  /** Throws S3_UNAVAILABLE unless the server answers and takes our key. */
  ping(): Promise<void>;
}

/** The object that holds the stamp. */
const markerKey = ".agent-harness.json";
/** The most that one request may delete. */
const batchSize = 1000;
/** So many keys, each the beginning of the next, are the most that the 1024 bytes of a key allow. */
const deepest = 512;

/** The buckets of one S3 server. Nothing is asked before the first call; errors are S3_UNAVAILABLE with the URL. */
export function openBuckets(connection: S3Connection): Buckets {
  let client: Promise<Client> | undefined;
  const ask = async <T>(run: (client: Client) => Promise<T>): Promise<T> => {
    try {
      client ??= connect(connection);
      const s3 = await client;
      // Each of these may be done twice: once more where the server had closed a connection that we still took for open.
      return await run(s3).catch((error: unknown) => (isCutOff(error) ? run(s3) : Promise.reject(error)));
    } catch (error) {
      throw explain(error, connection.url);
    }
  };
  return {
    ensure: (name, marker, options) => ask((s3) => ensureBucket(s3, name, marker, options?.adopt ?? false)),
    exists: (name) => ask((s3) => s3.bucketExists(name)),
    marker: (name) => ask((s3) => findMarker(s3, name)),
    isBare: (name) => ask(async (s3) => (await s3.bucketExists(name)) && (await isEmpty(s3, name))),
    hasObjects: (name) => ask(async (s3) => !(await isEmpty(s3, name, (key) => key === markerKey))),
    copyAll: (from, to, { live = false } = {}) =>
      ask((s3) => copyObjects(s3, { from, to, live, leaveOut: (key) => key === markerKey })),
    empty: (name) => ask((s3) => emptyBucket(s3, name, (key) => key === markerKey)),
    remove: (name) => ask((s3) => removeBucket(s3, name)),
    list: () => ask(async (s3) => (await s3.listBuckets()).map((bucket) => bucket.name)),
    ping: () => ask(ping),
  };
}

const isCutOff = (error: unknown): boolean => ["ECONNRESET", "EPIPE"].includes(errorNumber(error) ?? "");

async function connect({ url, accessKey, secretKey, region }: S3Connection): Promise<Client> {
  // Required, not imported: 70 ms instead of 240, on the way of every launch.
  const { Client } = createRequire(import.meta.url)("minio") as typeof import("minio");
  const { hostname, port, protocol } = new URL(url);
  const useSSL = protocol === "https:";
  return new Client({
    endPoint: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port) || (useSSL ? 443 : 80),
    useSSL,
    accessKey,
    secretKey,
    region,
    pathStyle: true,
    retryOptions: { disableRetry: true },
  });
}

async function ensureBucket(
  s3: Client,
  name: string,
  marker: BucketMarker,
  adopt: boolean,
): Promise<{ created: boolean }> {
  const created = await makeBucket(s3, name);
  const found = created ? undefined : await findMarker(s3, name);
  // One that is empty may be what a killed launch left between making and stamping; there is nothing in it to lose.
  const ours =
    found === undefined ? created || adopt || (await isEmpty(s3, name)) : found["machine"] === marker["machine"];
  if (!ours && !adopt) {
    const owner = found === undefined ? "was not made by agent-harness" : `belongs to the harness ${found["machine"]}`;
    throw new HarnessError("NAME_FOREIGN", `The bucket ${name} exists already and ${owner}.`, {
      hint: `Rename or remove the bucket ${name}, or choose another agent id.`,
      context: { bucket: name },
    });
  }
  if (found === undefined) await s3.putObject(name, markerKey, Buffer.from(JSON.stringify(marker)));
  return { created };
}

async function makeBucket(s3: Client, name: string): Promise<boolean> {
  try {
    if (await s3.bucketExists(name)) return false;
    await s3.makeBucket(name);
    return true;
  } catch (error) {
    // Somebody made it between the question and the order.
    if (["BucketAlreadyOwnedByYou", "BucketAlreadyExists"].includes(errorNumber(error) ?? "")) return false;
    throw error;
  }
}

async function findMarker(s3: Client, name: string): Promise<BucketMarker | undefined> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of await s3.getObject(name, markerKey)) chunks.push(chunk);
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    return typeof value === "object" && value !== null ? (value as BucketMarker) : undefined;
  } catch (error) {
    if (isGone(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function isEmpty(s3: Client, name: string, except: (key: string) => boolean = () => false): Promise<boolean> {
  for await (const item of s3.listObjects(name, "", true) as AsyncIterable<BucketItem>) {
    if (item.name !== undefined && !except(item.name)) return false;
  }
  return true;
}

async function removeBucket(s3: Client, name: string): Promise<void> {
  try {
    // The stamp last: killed in the middle, the rest is still known to be ours.
    await emptyBucket(s3, name, (key) => key === markerKey);
    await emptyBucket(s3, name, () => false);
    await s3.removeBucket(name);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

async function emptyBucket(s3: Client, name: string, keep: (key: string) => boolean): Promise<void> {
  const versioned = await isVersioned(s3, name);
  // MinIO lists what lies under a key that is an object's (`a/b` beside `a`) only when that object is gone. Not forever:
  // somebody may be writing.
  for (let pass = 0; pass < deepest && (await deleteListed(s3, name, { keep, versioned })) > 0; pass += 1);
  for await (const upload of s3.listIncompleteUploads(name, "", true) as AsyncIterable<{
    key: string;
    uploadId: string;
  }>) {
    await s3.abortMultipartUpload(name, upload.key, upload.uploadId);
  }
}

/** Deletes every object that is listed, and returns how many. */
async function deleteListed(
  s3: Client,
  name: string,
  { keep, versioned }: { keep: (key: string) => boolean; versioned: boolean },
): Promise<number> {
  let count = 0;
  let batch: { name: string; versionId?: string }[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const refused = (await s3.removeObjects(name, batch)).find((answer) => answer?.Error !== undefined)?.Error;
    if (refused) throw new Error(`${refused.Key}: ${refused.Message ?? refused.Code}`);
    batch = [];
  };
  const options = versioned ? { IncludeVersion: true } : {};
  for await (const item of s3.listObjects(name, "", true, options) as AsyncIterable<
    BucketItem & { versionId?: string }
  >) {
    if (item.name === undefined || keep(item.name)) continue;
    count += 1;
    const version = item.versionId === undefined ? {} : { versionId: item.versionId };
    if (unfitForXml.test(item.name)) await s3.removeObject(name, item.name, version);
    else batch.push({ name: item.name, ...version });
    if (batch.length === batchSize) await flush();
  }
  await flush();
  return count;
}

/** What cannot stand in the list of an order to delete many, or comes out of it changed. */
const unfitForXml = /[\p{Cc}\p{Cs}\uFFFE\uFFFF]/u;

async function isVersioned(s3: Client, name: string): Promise<boolean> {
  try {
    const { Status } = (await s3.getBucketVersioning(name)) as { Status?: string };
    return Status === "Enabled" || Status === "Suspended";
  } catch (error) {
    if (errorNumber(error) === "NotImplemented") return false;
    throw error;
  }
}

async function ping(s3: Client): Promise<void> {
  try {
    await s3.listBuckets();
  } catch (error) {
    // The key is good and may not list: a server of somebody else's that is up.
    if (errorNumber(error) !== "AccessDenied") throw error;
  }
}

const isGone = (error: unknown): boolean =>
  ["NoSuchBucket", "NoSuchKey", "NotFound", "NoSuchUpload"].includes(errorNumber(error) ?? "");

function explain(error: unknown, url: string): HarnessError {
  if (error instanceof HarnessError) return error;
  const code = errorNumber(error);
  const text = errorText(error) || code || "no answer";
  if (code === "XMinioStorageFull") {
    return new HarnessError("DISK_FULL", `The disk of the S3 server at ${url} is full: ${text}`, {
      hint: "Free some space, then run the same command again; it goes on where it stopped.",
      cause: error,
    });
  }
  return new HarnessError("S3_UNAVAILABLE", `The S3 server at ${url} did not do it: ${text}`, {
    hint: "Run: agent-harness infra up",
    context: { url, ...(code === undefined ? {} : { code }) },
    cause: error,
  });
}
