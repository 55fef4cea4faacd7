import { randomUUID } from "node:crypto";
import { access, constants, mkdir, readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorNumber, errorText, HarnessError } from "../../shared/errors.ts";
import { removeFolder } from "../../shared/paths.ts";
import { Bucket } from "./s3-bucket.ts";
import { S3Error } from "./s3-errors.ts";

const bucketName = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** All buckets below one folder; the folder belongs to one running server. */
export class Store {
  private readonly folder: string;
  private readonly read = new Map<string, Promise<Bucket>>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Opens the folder, creating it; HOME_UNUSABLE when it cannot be written. */
  static async open(folder: string): Promise<Store> {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (cause) {
      throw new HarnessError("HOME_UNUSABLE", `The folder ${folder} cannot be used for objects: ${errorText(cause)}`, {
        cause,
      });
    }
    const left = (await readdir(folder)).filter((name) => name.startsWith(".removed-"));
    await Promise.all(left.map((name) => removeFolder(join(folder, name), folder)));
    return new Store(folder);
  }

  async list(): Promise<{ name: string; created: string }[]> {
    const names = (await readdir(this.folder)).filter((name) => bucketName.test(name)).sort();
    const found = await Promise.all(names.map((name) => this.findCreated(name)));
    return names.flatMap((name, at) => {
      const created = found[at];
      return created === undefined ? [] : [{ name, created }];
    });
  }

  async create(name: string): Promise<void> {
    requireBucketName(name);
    try {
      await mkdir(join(this.folder, name));
    } catch (error) {
      if (errorNumber(error) !== "EEXIST") throw error;
      throw new S3Error("BucketAlreadyOwnedByYou", `There is a bucket ${name} already.`);
    }
  }

  /** The bucket, read from disk when it is first asked for. */
  async bucket(name: string): Promise<Bucket> {
    const known = this.read.get(name);
    if (known !== undefined) return await known;
    if (!bucketName.test(name) || (await this.findCreated(name)) === undefined) {
      throw new S3Error("NoSuchBucket", `There is no bucket ${name}.`);
    }
    // Two requests may have come this far; both must get the same bucket.
    const reading = this.read.get(name) ?? Bucket.read(name, join(this.folder, name));
    this.read.set(name, reading);
    reading.catch(() => this.read.delete(name));
    return await reading;
  }

  async remove(name: string): Promise<void> {
    const bucket = await this.bucket(name);
    if (!bucket.isEmpty) throw new S3Error("BucketNotEmpty", `The bucket ${name} is not empty.`);
    // Renamed first: a half-deleted folder must not be taken for a bucket after a crash.
    const removed = join(this.folder, `.removed-${randomUUID()}`);
    this.read.delete(name);
    await rename(bucket.folder, removed);
    await removeFolder(removed, this.folder);
  }

  private async findCreated(name: string): Promise<string | undefined> {
    try {
      return (await stat(join(this.folder, name))).birthtime.toISOString();
    } catch (error) {
      if (errorNumber(error) === "ENOENT") return undefined;
      throw error;
    }
  }
}

function requireBucketName(name: string): void {
  if (bucketName.test(name) && !name.includes("..") && !/^\d+\.\d+\.\d+\.\d+$/.test(name)) return;
  throw new S3Error("InvalidBucketName", "A bucket name is 3 to 63 lower-case letters, digits, dots and dashes.");
}
