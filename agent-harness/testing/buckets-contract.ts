import { createHash, randomBytes, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { Client } from "minio";
import { describe, expect, it } from "vitest";
import { openBuckets, type S3Connection } from "../infra/buckets.ts";

/* What every driver of the infra must do, whatever it runs. Each suite makes its own names and takes them away again. */

const stamp = { machine: "contract", kind: "test" };

type Connection = () => S3Connection;

/** The suite of the object store; `get` is asked in each test. */
export function bucketsContract(get: Connection): void {
  describe("buckets", () => {
    testBuckets(get);
    testBucketContents(get);
  });
  describe("objects", () => {
    testObjects(get);
    testManyObjects(get);
    testCopies(get);
  });
}

const clientOf = ({ url, accessKey, secretKey, region }: S3Connection): Client => {
  const { hostname, port } = new URL(url);
  return new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey,
    secretKey,
    region,
    partSize: 5 * 1024 * 1024,
  });
};

async function withBucket(get: Connection, run: (s3: Client, name: string) => Promise<void>): Promise<void> {
  const name = `contract-${randomUUID().slice(0, 8)}`;
  const buckets = openBuckets(get());
  await buckets.ensure(name, stamp);
  try {
    await run(clientOf(get()), name);
  } finally {
    await buckets.remove(name);
  }
  expect(await buckets.exists(name)).toBe(false);
}

const read = async (s3: Client, bucket: string, key: string): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of await s3.getObject(bucket, key)) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const keysOf = async (s3: Client, bucket: string, prefix = ""): Promise<string[]> => {
  const keys: string[] = [];
  for await (const item of s3.listObjectsV2(bucket, prefix, true)) keys.push(item.name);
  return keys;
};

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
      for (let at = 0; at < keys.length; at += 40) {
        await Promise.all(keys.slice(at, at + 40).map((key) => s3.putObject(name, key, key)));
      }
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

function testManyObjects(get: Connection): void {
  it("may have any key", async () => {
    await withBucket(get, async (s3, name) => {
      const keys = ["with space", "ünï/cödé/日本語/🙂", "a", "a/b", "plus+and&<\"'>%2e%2e", "tilde~!*()"];
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

/** Keys that a client or a list may read as something else. */
const oddKeys = [
  "007",
  "1e5",
  "0x10",
  "true",
  " lead",
  "trail ",
  "deep/007",
  "x?y=1&z#",
  "100%",
  "%2F",
  "plus+plus",
].concat(["日本語🙂", 'it\'s "q" <&>', "new\nline", "\u0001", "__proto__", "x/.agent-harness.json"]);

function testCopies(get: Connection): void {
  it("are copied into another bucket, all of them, and deleted again, whatever their keys", async () => {
    await withBucket(get, async (s3, from) => {
      await withBucket(get, async (_, to) => {
        const buckets = openBuckets(get());
        expect([await buckets.hasObjects(from), await buckets.copyAll(from, to)]).toEqual([
          false,
          { objects: 0, objectBytes: 0 },
        ]);
        const metaData = { "Content-Type": "text/odd", "X-Amz-Meta-By": "me" };
        for (const key of oddKeys) await s3.putObject(from, key, key, Buffer.byteLength(key), metaData);
        expect(await buckets.hasObjects(from)).toBe(true);
        const objectBytes = Buffer.byteLength(oddKeys.join(""));
        expect(await buckets.copyAll(from, to)).toEqual({ objects: oddKeys.length, objectBytes });
        await s3.putObject(from, "007", "changed");
        await buckets.empty(from);
        expect(await buckets.hasObjects(from)).toBe(false);
        for (const key of oddKeys) {
          expect((await read(s3, to, key)).toString()).toBe(key);
          expect((await s3.statObject(to, key)).metaData).toMatchObject({ "content-type": "text/odd", by: "me" });
        }
        expect(await buckets.marker(to)).toEqual(stamp);
      });
    });
  });

  it("that are larger than a part are copied with their bytes", async () => {
    await withBucket(get, async (s3, from) => {
      await withBucket(get, async (_, to) => {
        const content = randomBytes(12 * 1024 * 1024);
        await s3.putObject(from, "big", Readable.from([content.subarray(0, 7_000_000), content.subarray(7_000_000)]));
        await openBuckets(get()).copyAll(from, to);
        await s3.putObject(from, "big", "small");
        await s3.removeObject(from, "big");
        expect((await read(s3, to, "big")).equals(content)).toBe(true);
      });
    });
  });
}
