import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { errorNumber } from "../../shared/errors.ts";
import { S3Error } from "./s3-errors.ts";

/** What is kept of one object beside its bytes. */
export interface StoredObject {
  key: string;
  /** Name of the file with the bytes. */
  file: string;
  sizeBytes: number;
  etag: string;
  /** When it was written, ISO 8601. */
  modified: string;
  /** The headers that come back with it: content-type, x-amz-meta-… */
  headers: Record<string, string>;
}

export interface ListOptions {
  prefix: string;
  delimiter: string;
  /** Only keys (and groups) after this one. */
  after: string;
  limit: number;
}

export interface Listing {
  objects: StoredObject[];
  groups: string[];
  /** Where the next page begins, when there is one. */
  next: string | undefined;
}

/**
 * One bucket on disk. `keys/<hash of the key>.json` says what an object is and which file in `data/` has its bytes: a key never
 * becomes a path, so none can leave the folder, and renaming that one small file makes a write visible whole or not at all.
 */
export class Bucket {
  readonly name: string;
  readonly folder: string;
  private readonly objects: Map<string, StoredObject>;
  private sorted: string[] | undefined;
  private commits: Promise<unknown> = Promise.resolve();

  private constructor(name: string, folder: string, objects: Map<string, StoredObject>) {
    this.name = name;
    this.folder = folder;
    this.objects = objects;
  }

  /** Reads what the bucket holds, and deletes bytes that no key points to: a write that was killed. */
  static async read(name: string, folder: string): Promise<Bucket> {
    await Promise.all(["keys", "data", "uploads"].map((one) => mkdir(join(folder, one), { recursive: true })));
    const files = new Set(await readdir(join(folder, "data")));
    const objects = new Map<string, StoredObject>();
    for (const entry of await readdir(join(folder, "keys"))) {
      const object = entry.endsWith(".json") ? await readEntry(join(folder, "keys", entry)) : undefined;
      if (object === undefined || !files.delete(object.file)) await rm(join(folder, "keys", entry), { force: true });
      else objects.set(object.key, object);
    }
    await Promise.all([...files].map((file) => rm(join(folder, "data", file), { force: true })));
    return new Bucket(name, folder, objects);
  }

  get isEmpty(): boolean {
    return this.objects.size === 0;
  }

  find(key: string): StoredObject | undefined {
    return this.objects.get(key);
  }

  get(key: string): StoredObject {
    const object = this.objects.get(key);
    if (object === undefined) throw new S3Error("NoSuchKey", `There is no object ${JSON.stringify(key)}.`);
    return object;
  }

  /** Writes an object; readers see the old one until the last byte is there. `etag` overrides the content's MD5. */
  async put(
    key: string,
    content: AsyncIterable<Buffer>,
    headers: Record<string, string>,
    etag?: string,
  ): Promise<StoredObject> {
    const file = randomUUID();
    try {
      const written = await writeContent(join(this.folder, "data", file), content);
      const object = { key, file, ...written, modified: new Date().toISOString(), headers };
      return await this.commit(etag === undefined ? object : { ...object, etag });
    } catch (error) {
      await rm(join(this.folder, "data", file), { force: true });
      throw this.explain(error);
    }
  }

  /**
   * Makes an object of another one's bytes. Bytes are never changed, only replaced by others, so both may share one file;
   * undefined where the disk cannot do that, or the other one was deleted meanwhile.
   */
  async share(
    key: string,
    source: Bucket,
    { file: shared, sizeBytes, etag }: StoredObject,
    headers: Record<string, string>,
  ): Promise<StoredObject | undefined> {
    const file = randomUUID();
    try {
      await link(join(source.folder, "data", shared), join(this.folder, "data", file));
    } catch {
      // As many codes as there are file systems; whoever copies the bytes instead finds out what is wrong.
      return undefined;
    }
    try {
      return await this.commit({ key, file, sizeBytes, etag, modified: new Date().toISOString(), headers });
    } catch (error) {
      await rm(join(this.folder, "data", file), { force: true });
      throw this.explain(error);
    }
  }

  /** Deletes an object; gone is gone. */
  async remove(key: string): Promise<void> {
    await this.inTurn(async () => {
      const object = this.objects.get(key);
      if (object === undefined) return;
      await rm(this.entryPath(key), { force: true });
      this.objects.delete(key);
      this.sorted = undefined;
      await rm(join(this.folder, "data", object.file), { force: true });
    });
  }

  /** Opens the bytes of an object; they stay readable when it is overwritten meanwhile. */
  async open(object: StoredObject): Promise<FileHandle> {
    try {
      return await open(join(this.folder, "data", object.file));
    } catch (error) {
      const now = this.objects.get(object.key);
      if (errorNumber(error) === "ENOENT" && now?.file !== object.file)
        throw new S3Error("NoSuchKey", "It was deleted.");
      throw error;
    }
  }

  /** A page of the bucket, in the order of the keys; with a delimiter, keys are grouped up to it. */
  list({ prefix, delimiter, after, limit }: ListOptions): Listing {
    this.sorted ??= [...this.objects.keys()].sort();
    const page: Listing = { objects: [], groups: [], next: undefined };
    let last = "";
    for (let at = firstAtOrAfter(this.sorted, prefix > after ? prefix : after); limit > 0; at += 1) {
      const key = this.sorted[at];
      if (key === undefined || !key.startsWith(prefix)) break;
      const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
      const group = end < 0 ? undefined : key.slice(0, end + delimiter.length);
      if (key <= after || (group !== undefined && (group === after || group === last))) continue;
      if (page.objects.length + page.groups.length === limit) {
        page.next = last;
        break;
      }
      last = group ?? key;
      if (group === undefined) page.objects.push(this.get(key));
      else page.groups.push(group);
    }
    return page;
  }

  private async commit(object: StoredObject): Promise<StoredObject> {
    await this.inTurn(async () => {
      const scratch = join(this.folder, "keys", `${object.file}.tmp`);
      await writeFile(scratch, JSON.stringify(object));
      await rename(scratch, this.entryPath(object.key));
      const before = this.objects.get(object.key);
      this.objects.set(object.key, object);
      if (before === undefined) this.sorted = undefined;
      else await rm(join(this.folder, "data", before.file), { force: true });
    });
    return object;
  }

  /** Changes of the bucket happen one after the other, so that memory and disk agree on who was last. */
  private inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.commits.then(change);
    this.commits = turn.catch(() => undefined);
    return turn;
  }

  private entryPath(key: string): string {
    return join(this.folder, "keys", `${createHash("sha256").update(key).digest("hex")}.json`);
  }

  private explain(error: unknown): unknown {
    // The folder went away under the write: the bucket was removed.
    return errorNumber(error) === "ENOENT" ? new S3Error("NoSuchBucket", `There is no bucket ${this.name}.`) : error;
  }
}

/** Writes bytes to a new file and says how many they were and their MD5. */
export async function writeContent(
  path: string,
  content: AsyncIterable<Buffer>,
): Promise<{ sizeBytes: number; etag: string }> {
  const md5 = createHash("md5");
  let sizeBytes = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of content) {
      md5.update(chunk);
      sizeBytes += chunk.length;
      yield chunk;
    }
  }
  await pipeline(Readable.from(counted(), { objectMode: false }), createWriteStream(path, { flags: "wx" }));
  return { sizeBytes, etag: md5.digest("hex") };
}

async function readEntry(path: string): Promise<StoredObject | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    // Half a file can only be what a killed write left.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function firstAtOrAfter(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
