import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { expect, it } from "vitest";
import { openBuckets } from "../infra/buckets.ts";
import { type Connection, read, stamp, withBucket } from "./bucket-parts.ts";

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

/** The part of the object store's suite about copies of whole buckets. */
export function testCopies(get: Connection): void {
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
