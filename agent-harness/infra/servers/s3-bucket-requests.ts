import { textOfBody } from "./s3-body.ts";
import type { Bucket, StoredObject } from "./s3-bucket.ts";
import { S3Error } from "./s3-errors.ts";
import { type Exchange, numberOf, sendEmpty, sendXml } from "./s3-exchange.ts";
import { listUploads } from "./s3-uploads.ts";
import { elements, findElement, type Xml } from "./s3-xml.ts";

const owner = { ID: "agent-harness", DisplayName: "agent-harness" };

/** What a bucket has never been given, and how S3 says so; to give it is not implemented. */
const absent = {
  policy: "NoSuchBucketPolicy",
  cors: "NoSuchCORSConfiguration",
  lifecycle: "NoSuchLifecycleConfiguration",
  tagging: "NoSuchTagSet",
} as const;

const refused = [
  ...Object.keys(absent),
  "acl",
  "encryption",
  "logging",
  "notification",
  "object-lock",
  "replication",
  "versions",
  "website",
];

/** GET / : every bucket. */
export async function listBuckets(exchange: Exchange): Promise<void> {
  const buckets = await exchange.store.list();
  const Bucket = buckets.map(({ name, created }) => ({ Name: name, CreationDate: created }));
  sendXml(exchange, "ListAllMyBucketsResult", { Owner: owner, Buckets: { Bucket } });
}

/** Everything that names a bucket and no key. */
export async function answerBucket(exchange: Exchange): Promise<void> {
  const { store, request, query, bucket: name } = exchange;
  const configuration = refused.find((one) => query.has(one));
  if (request.method === "PUT" && configuration === undefined && !query.has("versioning")) {
    await store.create(name);
    return sendEmpty(exchange, 200, { location: `/${name}` });
  }
  const bucket = await store.bucket(name);
  if (configuration !== undefined || (query.has("versioning") && request.method !== "GET")) {
    return refuseConfiguration(exchange, configuration ?? "versioning");
  }
  switch (request.method) {
    case "HEAD":
      return sendEmpty(exchange, 200);
    case "GET":
      return await getBucket(exchange, bucket);
    case "DELETE":
      await store.remove(name);
      return sendEmpty(exchange, 204);
    case "POST":
      if (query.has("delete")) return await deleteObjects(exchange, bucket);
      throw new S3Error("NotImplemented", "Upload by form is not implemented; use a presigned PUT.");
    default:
      throw new S3Error("MethodNotAllowed", `${request.method} is not for buckets.`);
  }
}

function refuseConfiguration({ request }: Exchange, what: string): never {
  const code = request.method === "GET" ? Object.entries(absent).find(([name]) => name === what)?.[1] : undefined;
  throw new S3Error(code ?? "NotImplemented", `The bucket has no ${what}, and none can be given to it here.`);
}

async function getBucket(exchange: Exchange, bucket: Bucket): Promise<void> {
  const { query } = exchange;
  if (query.has("location")) return sendXml(exchange, "LocationConstraint", "");
  if (query.has("versioning")) return sendXml(exchange, "VersioningConfiguration", "");
  if (query.has("uploads")) return await sendUploads(exchange, bucket);
  if (query.get("list-type") === "2") return listVersion2(exchange, bucket);
  listVersion1(exchange, bucket);
}

function listVersion1(exchange: Exchange, bucket: Bucket): void {
  const { query } = exchange;
  const marker = query.get("marker") ?? "";
  const { common, page, encode } = listing(exchange, bucket, marker);
  sendXml(exchange, "ListBucketResult", {
    ...common,
    Marker: encode(marker),
    NextMarker: page.next === undefined ? undefined : encode(page.next),
  });
}

function listVersion2(exchange: Exchange, bucket: Bucket): void {
  const { query } = exchange;
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after") ?? "";
  const after = token === null ? startAfter : Buffer.from(token, "base64url").toString();
  const { common, page, encode } = listing(exchange, bucket, after);
  sendXml(exchange, "ListBucketResult", {
    ...common,
    KeyCount: page.objects.length + page.groups.length,
    StartAfter: startAfter === "" ? undefined : encode(startAfter),
    ContinuationToken: token ?? undefined,
    NextContinuationToken: page.next === undefined ? undefined : Buffer.from(page.next).toString("base64url"),
  });
}

function listing(exchange: Exchange, bucket: Bucket, after: string) {
  const { query } = exchange;
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const limit = numberOf(exchange, "max-keys", 1000, 1000);
  const page = bucket.list({ prefix, delimiter, after, limit });
  const encode = query.get("encoding-type") === "url" ? encodeURIComponent : (text: string): string => text;
  const contents = ({ key, modified, etag, sizeBytes }: StoredObject): Xml => ({
    Key: encode(key),
    LastModified: modified,
    ETag: `"${etag}"`,
    Size: sizeBytes,
    StorageClass: "STANDARD",
    Owner: query.get("list-type") === "2" && query.get("fetch-owner") !== "true" ? undefined : owner,
  });
  const common = {
    Name: bucket.name,
    Prefix: encode(prefix),
    Delimiter: delimiter === "" ? undefined : encode(delimiter),
    MaxKeys: limit,
    EncodingType: query.get("encoding-type") ?? undefined,
    IsTruncated: page.next !== undefined,
    Contents: page.objects.map(contents),
    CommonPrefixes: page.groups.map((group) => ({ Prefix: encode(group) })),
  };
  return { common, page, encode };
}

async function sendUploads(exchange: Exchange, bucket: Bucket): Promise<void> {
  const prefix = exchange.query.get("prefix") ?? "";
  const uploads = (await listUploads(bucket)).filter((upload) => upload.key.startsWith(prefix));
  sendXml(exchange, "ListMultipartUploadsResult", {
    Bucket: bucket.name,
    Prefix: prefix,
    MaxUploads: 1000,
    IsTruncated: false,
    Upload: uploads.map(({ id, key, initiated }) => ({
      Key: key,
      UploadId: id,
      Initiator: owner,
      Owner: owner,
      StorageClass: "STANDARD",
      Initiated: initiated,
    })),
  });
}

async function deleteObjects(exchange: Exchange, bucket: Bucket): Promise<void> {
  const document = await textOfBody(exchange.request);
  const keys = elements(document, "Object").map((one) => findElement(one, "Key"));
  if (keys.length === 0 || keys.length > 1000 || keys.includes(undefined)) {
    throw new S3Error("MalformedXML", "Name 1 to 1000 objects, each by its key.");
  }
  const named = keys.filter((key) => key !== undefined);
  for (const key of named) await bucket.remove(key);
  const quiet = findElement(document, "Quiet")?.trim() === "true";
  sendXml(exchange, "DeleteResult", { Deleted: quiet ? [] : named.map((key) => ({ Key: key })) });
}
