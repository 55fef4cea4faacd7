import { createHash, randomBytes, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import type { Client } from "minio";
import { describe, expect, it } from "vitest";
import { openBuckets } from "../infra/buckets.ts";
import { type Connection, keysOf, read, stamp, withBucket } from "./bucket-parts.ts";
import { testCopies } from "./copies-contract.ts";

/* What every driver of the infra must do, whatever it runs. Each suite makes its own names and takes them away again. */

/** What an object store does in its own way: everything else is the same on all of them. */
export interface BucketTraits {
  /** Whether it keeps versions of objects where it is told to. */
  versions: boolean;
  /** Whether it lists `a/b` only once there is no `a` any more, as MinIO does. */
  hidesBelowObjects: boolean;
}

/** The suite of the object store; `get` is asked in each test. */
export function bucketsContract(get: Connection, { versions, hidesBelowObjects }: BucketTraits): void {
  describe("buckets", () => {
    testBuckets(get);
    testBucketContents(get);
    if (versions) testVersions(get);
    else testNoVersions(get);
  });
  describe("objects", () => {
    testObjects(get);
    testManyObjects(get);
    testBelowObjects(get, hidesBelowObjects);
    testCopies(get);
  });
}

function testBuckets(get: Connection): void {
  it("are made, stamped, listed and removed, each twice without harm", async () => {
    const name = `contract-${randomUUID().slice(0, 8)}`;
    const buckets = openBuckets(get());
    await buckets.ping();
    expect(await buckets.ensure(name, stamp)).toEqual({ created: true });
    expect(await buckets.ensure(name, stamp)).toEqual({ created: false });
    expect(await buckets.list()).toContain(name);
    expect(await buckets.marker(name)).toEqual(stamp);
    await buckets.remove(name);
    await buckets.remove(name);
    expect(await buckets.exists(name)).toBe(false);
    expect(await buckets.marker(name)).toBeUndefined();
  });

  it("of others are never adopted", async () => {
    await withBucket(get, async (s3, name) => {
      const buckets = openBuckets(get());
      const other = { ...stamp, machine: "another" };
      await expect(buckets.ensure(name, other)).rejects.toMatchObject({ code: "NAME_FOREIGN" });
      await s3.putObject(name, "precious", "x");
      await s3.removeObject(name, ".agent-harness.json");
      await expect(buckets.ensure(name, stamp)).rejects.toMatchObject({ code: "NAME_FOREIGN" });
      expect(await buckets.ensure(name, stamp, { adopt: true })).toEqual({ created: false });
      expect((await read(s3, name, "precious")).toString()).toBe("x");
    });
  });

  it("left empty and unstamped by a killed launch are taken over", async () => {
    await withBucket(get, async (s3, name) => {
      await s3.removeObject(name, ".agent-harness.json");
      expect(await openBuckets(get()).ensure(name, stamp)).toEqual({ created: false });
      expect(await openBuckets(get()).marker(name)).toEqual(stamp);
    });
  });
}

function testBucketContents(get: Connection): void {
  it("are emptied of more than a page and of unfinished uploads, and keep the stamp", async () => {
    await withBucket(get, async (s3, name) => {
      const keys = Array.from({ length: 1030 }, (_, at) => `many/${String(at).padStart(4, "0")}`);
      await inTurns(keys.length, (at) => s3.putObject(name, keys[at] ?? "", "x"));
      expect(await keysOf(s3, name, "many/")).toEqual(keys);
      await s3.initiateNewMultipartUpload(name, "unfinished", {});
      await openBuckets(get()).empty(name);
      expect(await keysOf(s3, name)).toEqual([".agent-harness.json"]);
      for await (const upload of s3.listIncompleteUploads(name, "", true)) expect.unreachable(String(upload));
      await s3.putObject(name, "again", "x");
    });
  });

  it("refuse wrong keys and say where they were asked", async () => {
    const connection = get();
    const wrong = openBuckets({ ...connection, secretKey: "wrong-secret-key" });
    await expect(wrong.ping()).rejects.toMatchObject({ code: "S3_UNAVAILABLE", context: { url: connection.url } });
    const unknown = openBuckets({ ...connection, accessKey: "nobody" });
    await expect(unknown.list()).rejects.toMatchObject({ code: "S3_UNAVAILABLE" });
  });
}

function testVersions(get: Connection): void {
  it("keep versions, and are emptied and removed with all of them, and with what was only marked as deleted", async () => {
    await withBucket(get, async (s3, name) => {
      await s3.setBucketVersioning(name, { Status: "Enabled" });
      for (const text of ["one", "two", "three"]) await s3.putObject(name, "kept", text);
      await s3.putObject(name, "gone", "x");
      await s3.removeObject(name, "gone");
      // More than one page of answers, of one key and of many.
      await inTurns(1010, (at) => s3.putObject(name, at % 2 ? "often" : `many/${at}`, String(at)));
      await s3.setBucketVersioning(name, { Status: "Suspended" });
      await s3.putObject(name, "kept", "four");
      expect(await keysOf(s3, name, "gone")).toEqual([]);
      expect((await versionsOf(s3, name, "kept")).length).toBe(4);
      expect((await versionsOf(s3, name, "gone")).length).toBe(2);
      await openBuckets(get()).empty(name);
      expect(await versionsOf(s3, name)).toEqual([".agent-harness.json"]);
      await s3.putObject(name, "again", "x");
      await s3.removeObject(name, "again");
    });
  });

  it("whose stamp was overwritten and marked as deleted are removed too", async () => {
    await withBucket(get, async (s3, name) => {
      await s3.setBucketVersioning(name, { Status: "Enabled" });
      await s3.putObject(name, ".agent-harness.json", JSON.stringify(stamp));
      await s3.removeObject(name, ".agent-harness.json");
      expect(await openBuckets(get()).marker(name)).toBeUndefined();
    });
  });
}

function testNoVersions(get: Connection): void {
  it("keep no versions: who asks for them is told NotImplemented, and removal does without", async () => {
    await withBucket(get, async (s3, name) => {
      const asked = s3.setBucketVersioning(name, { Status: "Enabled" });
      await expect(asked).rejects.toMatchObject({ code: "NotImplemented" });
      await s3.putObject(name, "kept", "one");
      await s3.putObject(name, "kept", "two");
      expect((await read(s3, name, "kept")).toString()).toBe("two");
      await openBuckets(get()).empty(name);
      expect(await keysOf(s3, name)).toEqual([".agent-harness.json"]);
      await s3.putObject(name, "kept", "three");
    });
  });
}

/** The keys of all versions and of all marks of deletion, each as often as it is there. */
const versionsOf = async (s3: Client, bucket: string, prefix = ""): Promise<string[]> => {
  const keys: string[] = [];
  for await (const item of s3.listObjects(bucket, prefix, true, { IncludeVersion: true })) keys.push(item.name);
  return keys;
};

/** Does so many things, forty at a time. */
async function inTurns(count: number, run: (at: number) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < count; at += 40) {
    await Promise.all(Array.from({ length: Math.min(40, count - at) }, (_, one) => run(at + one)));
  }
}

function testObjects(get: Connection): void {
  it("keep their bytes, type and metadata", async () => {
    await withBucket(get, async (s3, name) => {
      const content = randomBytes(100_000);
      await s3.putObject(name, "a/picture.png", content, content.length, {
        "Content-Type": "image/png",
        "X-Amz-Meta-By": "me",
      });
      expect((await read(s3, name, "a/picture.png")).equals(content)).toBe(true);
      const stat = await s3.statObject(name, "a/picture.png");
      expect(stat.size).toBe(content.length);
      expect(stat.etag).toBe(createHash("md5").update(content).digest("hex"));
      expect(stat.metaData).toMatchObject({ "content-type": "image/png", by: "me" });
      await s3.putObject(name, "a/picture.png", "new");
      expect((await read(s3, name, "a/picture.png")).toString()).toBe("new");
      await s3.putObject(name, "empty", "");
      expect((await read(s3, name, "empty")).length).toBe(0);
      await expect(s3.statObject(name, "none")).rejects.toMatchObject({ code: "NotFound" });
      await expect(s3.getObject(name, "none")).rejects.toMatchObject({ code: "NoSuchKey" });
    });
  });

  it("larger than a part are uploaded in parts", async () => {
    await withBucket(get, async (s3, name) => {
      const content = randomBytes(12 * 1024 * 1024);
      const chunks = Array.from({ length: 192 }, (_, at) => content.subarray(at * 65_536, (at + 1) * 65_536));
      const { etag } = await s3.putObject(name, "big", Readable.from(chunks), content.length);
      expect(etag).toMatch(/^[0-9a-f]{32}-[23]$/);
      expect((await read(s3, name, "big")).equals(content)).toBe(true);
      const part: Buffer[] = [];
      for await (const chunk of await s3.getPartialObject(name, "big", 5_000_000, 1000)) part.push(chunk);
      expect(Buffer.concat(part).equals(content.subarray(5_000_000, 5_001_000))).toBe(true);
    });
  });

  it("are reached by presigned URLs, which cannot be altered", async () => {
    await withBucket(get, async (s3, name) => {
      const put = await s3.presignedPutObject(name, "upload here.txt", 60);
      expect((await fetch(put, { method: "PUT", body: "by url" })).status).toBe(200);
      const url = await s3.presignedGetObject(name, "upload here.txt", 60);
      expect(await (await fetch(url)).text()).toBe("by url");
      for (const bad of [
        url.replace("upload", "another"),
        url.replace(/Expires=\d+/, "Expires=600"),
        url.split("?")[0] ?? "",
      ]) {
        expect((await fetch(bad)).status, bad).toBe(403);
      }
      const expired = await s3.presignedGetObject(name, "upload here.txt", 1, {}, new Date(Date.now() - 60_000));
      expect((await fetch(expired)).status).toBe(403);
    });
  });
}

function testBelowObjects(get: Connection, hidesBelowObjects: boolean): void {
  const listed = hidesBelowObjects ? "hidden from lists as long as that is there (MinIO)" : "listed";
  it(`whose key goes on after another's are ${listed}, read, and emptied at any depth`, async () => {
    await withBucket(get, async (s3, name) => {
      const keys = ["a", "a/b", "a/b/c", "a/b/c/d"];
      for (const key of keys) await s3.putObject(name, key, key);
      for (const key of keys) expect((await read(s3, name, key)).toString()).toBe(key);
      expect(await keysOf(s3, name, "a")).toEqual(hidesBelowObjects ? ["a"] : keys);
      await openBuckets(get()).empty(name);
      for (const key of keys) await expect(s3.statObject(name, key), key).rejects.toMatchObject({ code: "NotFound" });
      for (const key of keys) await s3.putObject(name, key, key);
    });
  });
}

function testManyObjects(get: Connection): void {
  it("may have any key", async () => {
    await withBucket(get, async (s3, name) => {
      const keys = ["with space", "ünï/cödé/日本語/🙂", "a/b", "plus+and&<\"'>%2e%2e", "tilde~!*()"];
      for (const key of keys) await s3.putObject(name, key, key);
      for (const key of keys) expect((await read(s3, name, key)).toString()).toBe(key);
      expect((await keysOf(s3, name)).sort()).toEqual([".agent-harness.json", ...keys].sort());
      await s3.removeObjects(name, keys);
      expect(await keysOf(s3, name)).toEqual([".agent-harness.json"]);
    });
  });

  it("are listed by folder and copied", async () => {
    await withBucket(get, async (s3, name) => {
      for (const key of ["docs/1", "docs/2", "docs/deep/3", "top"]) await s3.putObject(name, key, key);
      const found: string[] = [];
      for await (const item of s3.listObjectsV2(name, "docs/", false)) found.push(item.name ?? item.prefix);
      expect(found.sort()).toEqual(["docs/1", "docs/2", "docs/deep/"]);
      await s3.copyObject(name, "copy", `/${name}/docs/1`);
      expect((await read(s3, name, "copy")).toString()).toBe("docs/1");
    });
  });

  it("of two buckets under load stay apart", async () => {
    await withBucket(get, async (s3, one) => {
      await withBucket(get, async (_, two) => {
        const work = [one, two].flatMap((bucket) =>
          Array.from({ length: 60 }, (_, at) => ({ bucket, key: `k${at % 20}`, at })),
        );
        await Promise.all(
          work.map(async ({ bucket, key, at }) => {
            await s3.putObject(bucket, key, `${bucket} ${at} `.repeat(2000));
            expect((await read(s3, bucket, key)).toString().startsWith(`${bucket} `)).toBe(true);
          }),
        );
        expect(await keysOf(s3, one)).toHaveLength(21);
      });
    });
  });
}
