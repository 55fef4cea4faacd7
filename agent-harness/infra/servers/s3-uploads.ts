import { createHash, randomBytes, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findText } from "../../shared/files.ts";
import { removeFolder } from "../../shared/paths.ts";
import { type Bucket, type StoredObject, writeContent } from "./s3-bucket.ts";
import { S3Error } from "./s3-errors.ts";

const minPartBytes = 5 * 1024 * 1024;

/** An upload in parts that was begun and neither completed nor aborted. */
export interface Upload {
  id: string;
  key: string;
  initiated: string;
  headers: Record<string, string>;
}

export interface Part {
  number: number;
  file: string;
  sizeBytes: number;
  etag: string;
  modified: string;
}

/** Begins an upload in parts. */
export async function beginUpload(bucket: Bucket, key: string, headers: Record<string, string>): Promise<Upload> {
  const upload = { id: randomBytes(16).toString("hex"), key, initiated: new Date().toISOString(), headers };
  await mkdir(folderOf(bucket, upload.id));
  await writeFile(join(folderOf(bucket, upload.id), "upload.json"), JSON.stringify(upload));
  return upload;
}

/** The upload with this id and key; NoSuchUpload when it was completed or aborted, or the id is not one. */
export async function getUpload(bucket: Bucket, id: string, key: string): Promise<Upload> {
  const upload = await findUpload(bucket, id);
  if (upload?.key === key) return upload;
  throw new S3Error("NoSuchUpload", "There is no such upload; it may have been completed or aborted.");
}

async function findUpload(bucket: Bucket, id: string): Promise<Upload | undefined> {
  // The id comes from the client and becomes a path.
  if (!/^[0-9a-f]{32}$/.test(id)) return undefined;
  const text = await findText(join(folderOf(bucket, id), "upload.json"));
  return text === undefined || text === "" ? undefined : JSON.parse(text);
}

/** Every upload of the bucket that is not finished, in the order of the keys. */
export async function listUploads(bucket: Bucket): Promise<Upload[]> {
  const ids = await readdir(join(bucket.folder, "uploads"));
  const uploads = await Promise.all(ids.map((id) => findUpload(bucket, id)));
  return uploads.filter((one) => one !== undefined).sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

/** Writes one part; the same number again replaces it. */
export async function putPart(
  bucket: Bucket,
  upload: Upload,
  number: number,
  content: AsyncIterable<Buffer>,
): Promise<Part> {
  const folder = folderOf(bucket, upload.id);
  const file = `${number}-${randomUUID()}`;
  const written = await writeContent(join(folder, file), content).catch(async (error) => {
    await rm(join(folder, file), { force: true });
    throw error;
  });
  const part = { number, file, ...written, modified: new Date().toISOString() };
  await writeFile(join(folder, `${file}.tmp`), JSON.stringify(part));
  await rename(join(folder, `${file}.tmp`), join(folder, `${number}.json`));
  return part;
}

/** The parts of an upload, in the order of their numbers. */
export async function listParts(bucket: Bucket, upload: Upload): Promise<Part[]> {
  const folder = folderOf(bucket, upload.id);
  const entries = (await readdir(folder)).filter((name) => /^\d+\.json$/.test(name));
  const parts = await Promise.all(
    entries.map(async (name): Promise<Part> => JSON.parse(await readFile(join(folder, name), "utf8"))),
  );
  return parts.sort((a, b) => a.number - b.number);
}

/** Makes one object of the named parts and ends the upload. */
export async function completeUpload(
  bucket: Bucket,
  upload: Upload,
  wanted: readonly { number: number; etag: string }[],
): Promise<StoredObject> {
  const have = new Map((await listParts(bucket, upload)).map((part) => [part.number, part]));
  const parts = wanted.map(({ number, etag }, at) => {
    const part = have.get(number);
    if (part === undefined || part.etag !== etag)
      throw new S3Error("InvalidPart", `Part ${number} is not what was uploaded.`);
    const before = wanted[at - 1];
    if (before !== undefined && before.number >= number)
      throw new S3Error("InvalidPartOrder", "The parts are not in order.");
    if (at < wanted.length - 1 && part.sizeBytes < minPartBytes) {
      throw new S3Error("EntityTooSmall", `Part ${number} is smaller than 5 MiB and not the last.`);
    }
    return part;
  });
  const folder = folderOf(bucket, upload.id);
  async function* content(): AsyncGenerator<Buffer> {
    for (const part of parts) yield* createReadStream(join(folder, part.file));
  }
  // S3's own rule for the etag of an object made of parts.
  const digests = Buffer.concat(parts.map((part) => Buffer.from(part.etag, "hex")));
  const etag = `${createHash("md5").update(digests).digest("hex")}-${parts.length}`;
  const object = await bucket.put(upload.key, content(), upload.headers, etag);
  await abortUpload(bucket, upload);
  return object;
}

/** Forgets an upload and its parts. */
export async function abortUpload(bucket: Bucket, upload: Upload): Promise<void> {
  await removeFolder(folderOf(bucket, upload.id), bucket.folder);
}

const folderOf = (bucket: Bucket, id: string): string => join(bucket.folder, "uploads", id);
