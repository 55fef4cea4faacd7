import type { IncomingHttpHeaders } from "node:http";
import { pipeline } from "node:stream/promises";
import { bodyOf, textOfBody } from "./s3-body.ts";
import type { Bucket, StoredObject } from "./s3-bucket.ts";
import { S3Error } from "./s3-errors.ts";
import { type Exchange, numberOf, sendEmpty, sendXml } from "./s3-exchange.ts";
import { abortUpload, beginUpload, completeUpload, getUpload, listParts, putPart, type Upload } from "./s3-uploads.ts";
import { elements, findElement } from "./s3-xml.ts";

const keptHeaders = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
];
const refused = ["acl", "legal-hold", "retention", "select", "tagging", "torrent"];
const maxParts = 10_000;

/** Everything that names an object. */
export async function answerObject(exchange: Exchange): Promise<void> {
  const { store, request, query, key } = exchange;
  const unknown = refused.find((one) => query.has(one));
  if (unknown !== undefined) throw new S3Error("NotImplemented", `${unknown} of objects is not implemented.`);
  const bucket = await store.bucket(exchange.bucket);
  const uploadId = query.get("uploadId");
  if (uploadId !== null) return await answerUpload(exchange, bucket, await getUpload(bucket, uploadId, key));
  switch (request.method) {
    case "GET":
    case "HEAD":
      return await sendObject(exchange, bucket);
    case "PUT":
      return await putObject(exchange, bucket);
    case "DELETE":
      await bucket.remove(key);
      return sendEmpty(exchange, 204);
    case "POST":
      return await begin(exchange, bucket);
    default:
      throw new S3Error("MethodNotAllowed", `${request.method} is not for objects.`);
  }
}

async function putObject(exchange: Exchange, bucket: Bucket): Promise<void> {
  const { request, key } = exchange;
  const source = await findCopySource(exchange);
  if (source === undefined) {
    const object = await bucket.put(key, bodyOf(request), headersToKeep(request.headers));
    return sendEmpty(exchange, 200, { etag: `"${object.etag}"` });
  }
  const replace = request.headers["x-amz-metadata-directive"] === "REPLACE";
  const headers = replace ? headersToKeep(request.headers) : source.object.headers;
  const object =
    (await bucket.share(key, source.bucket, source.object, headers)) ??
    (await bucket.put(key, contentOf(source.bucket, source.object), headers));
  sendXml(exchange, "CopyObjectResult", { LastModified: object.modified, ETag: `"${object.etag}"` });
}

async function answerUpload(exchange: Exchange, bucket: Bucket, upload: Upload): Promise<void> {
  switch (exchange.request.method) {
    case "PUT":
      return await put(exchange, bucket, upload);
    case "POST":
      return await complete(exchange, bucket, upload);
    case "DELETE":
      await abortUpload(bucket, upload);
      return sendEmpty(exchange, 204);
    case "GET":
      return await sendParts(exchange, bucket, upload);
    default:
      throw new S3Error("MethodNotAllowed", `${exchange.request.method} is not for uploads.`);
  }
}

async function begin(exchange: Exchange, bucket: Bucket): Promise<void> {
  if (!exchange.query.has("uploads")) throw new S3Error("MethodNotAllowed", "POST is not for objects.");
  const upload = await beginUpload(bucket, exchange.key, headersToKeep(exchange.request.headers));
  sendXml(exchange, "InitiateMultipartUploadResult", { Bucket: bucket.name, Key: upload.key, UploadId: upload.id });
}

async function put(exchange: Exchange, bucket: Bucket, upload: Upload): Promise<void> {
  const number = numberOf(exchange, "partNumber", 0, maxParts + 1);
  if (number < 1 || number > maxParts) throw new S3Error("InvalidArgument", `partNumber is 1 to ${maxParts}.`);
  const source = await findCopySource(exchange);
  if (source === undefined) {
    const part = await putPart(bucket, upload, number, bodyOf(exchange.request));
    return sendEmpty(exchange, 200, { etag: `"${part.etag}"` });
  }
  const range = rangeOf(String(exchange.request.headers["x-amz-copy-source-range"] ?? ""), source.object.sizeBytes);
  const part = await putPart(bucket, upload, number, contentOf(source.bucket, source.object, range));
  sendXml(exchange, "CopyPartResult", { LastModified: part.modified, ETag: `"${part.etag}"` });
}

async function complete(exchange: Exchange, bucket: Bucket, upload: Upload): Promise<void> {
  const wanted = elements(await textOfBody(exchange.request), "Part").map((part) => ({
    number: Number(findElement(part, "PartNumber")),
    etag: (findElement(part, "ETag") ?? "").replaceAll('"', "").trim(),
  }));
  if (wanted.length === 0) throw new S3Error("MalformedXML", "Name at least one part.");
  const object = await completeUpload(bucket, upload, wanted);
  sendXml(exchange, "CompleteMultipartUploadResult", {
    Location: `http://${exchange.request.headers.host}${exchange.path}`,
    Bucket: bucket.name,
    Key: object.key,
    ETag: `"${object.etag}"`,
  });
}

async function sendParts(exchange: Exchange, bucket: Bucket, upload: Upload): Promise<void> {
  const after = numberOf(exchange, "part-number-marker", 0, maxParts);
  const limit = numberOf(exchange, "max-parts", 1000, 1000);
  const parts = (await listParts(bucket, upload)).filter((part) => part.number > after);
  const page = parts.slice(0, limit);
  sendXml(exchange, "ListPartsResult", {
    Bucket: bucket.name,
    Key: upload.key,
    UploadId: upload.id,
    PartNumberMarker: after,
    NextPartNumberMarker: page.at(-1)?.number,
    MaxParts: limit,
    IsTruncated: parts.length > page.length,
    Part: page.map(({ number, etag, sizeBytes, modified }) => ({
      PartNumber: number,
      ETag: `"${etag}"`,
      Size: sizeBytes,
      LastModified: modified,
    })),
  });
}

async function sendObject(exchange: Exchange, bucket: Bucket): Promise<void> {
  const { request, response, query, key } = exchange;
  const object = bucket.get(key);
  const headers = {
    ...object.headers,
    etag: `"${object.etag}"`,
    "last-modified": new Date(object.modified).toUTCString(),
  };
  if (isUnchanged(request.headers, object)) return sendEmpty(exchange, 304, headers);
  for (const [name, value] of query) {
    // A signed URL may say how a browser should save the file.
    const header = name.startsWith("response-") ? name.slice("response-".length) : "";
    if (keptHeaders.includes(header)) Object.assign(headers, { [header]: value });
  }
  const range = rangeOf(request.headers.range ?? "", object.sizeBytes);
  const length = range === undefined ? object.sizeBytes : range.end - range.start + 1;
  const rangeHeader = range && { "content-range": `bytes ${range.start}-${range.end}/${object.sizeBytes}` };
  const sent = {
    "content-type": "binary/octet-stream",
    ...headers,
    ...rangeHeader,
    "accept-ranges": "bytes",
    "content-length": length,
  };
  if (request.method === "HEAD") {
    response.writeHead(range === undefined ? 200 : 206, sent).end();
    return;
  }
  const content = (await bucket.open(object)).createReadStream(range ?? {});
  response.writeHead(range === undefined ? 200 : 206, sent);
  await pipeline(content, response);
}

function isUnchanged(headers: IncomingHttpHeaders, object: StoredObject): boolean {
  const names = (text: string): string[] => text.split(",").map((one) => one.trim().replaceAll('"', ""));
  const wanted = headers["if-match"];
  if (wanted !== undefined && wanted !== "*" && !names(wanted).includes(object.etag)) {
    throw new S3Error("PreconditionFailed", "The object is not the one that If-Match names.");
  }
  const known = headers["if-none-match"];
  if (known !== undefined) return known === "*" || names(known).includes(object.etag);
  const since = Date.parse(headers["if-modified-since"] ?? "");
  return Math.floor(Date.parse(object.modified) / 1000) * 1000 <= since;
}

function rangeOf(header: string, sizeBytes: number): { start: number; end: number } | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  // Several ranges, or none that can be read: S3 sends the whole object.
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  const start = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start > end) throw new S3Error("InvalidRange", `The object has ${sizeBytes} bytes.`);
  return { start, end };
}

async function findCopySource({
  request,
  store,
}: Exchange): Promise<{ bucket: Bucket; object: StoredObject } | undefined> {
  const header = request.headers["x-amz-copy-source"];
  if (header === undefined) return undefined;
  const [path = ""] = String(header).replace(/^\//, "").split("?");
  const [bucketName = "", ...key] = decodeSource(path).split("/");
  const bucket = await store.bucket(bucketName);
  return { bucket, object: bucket.get(key.join("/")) };
}

function decodeSource(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new S3Error("InvalidArgument", "x-amz-copy-source cannot be decoded.");
  }
}

async function* contentOf(
  bucket: Bucket,
  object: StoredObject,
  range?: { start: number; end: number },
): AsyncGenerator<Buffer> {
  const file = await bucket.open(object);
  yield* file.createReadStream(range ?? {});
}

function headersToKeep(headers: IncomingHttpHeaders): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => keptHeaders.includes(name) || name.startsWith("x-amz-meta-"));
  const texts = kept.map(([name, value]) => [name, String(value)] as const);
  // aws-chunked is how the content travelled, not what it is.
  const encoding = String(headers["content-encoding"] ?? "").replaceAll(/aws-chunked,?\s*/g, "");
  const { "content-encoding": _, ...rest } = Object.fromEntries(texts);
  return encoding === "" ? rest : { ...rest, "content-encoding": encoding };
}
