import { randomUUID } from "node:crypto";
import type { Client } from "minio";
import { expect } from "vitest";
import { openBuckets, type S3Connection } from "../infra/buckets.ts";
import { openS3Client } from "./s3-client.ts";

/* What the suites of the object store share. */

/** Asked in each test. */
export type Connection = () => S3Connection;

export const stamp = { machine: "contract", kind: "test" };

/** Runs a test on a bucket of its own, which is taken away again. */
export async function withBucket(get: Connection, run: (s3: Client, name: string) => Promise<void>): Promise<void> {
  const name = `contract-${randomUUID().slice(0, 8)}`;
  const buckets = openBuckets(get());
  await buckets.ensure(name, stamp);
  try {
    await run(openS3Client(get()), name);
  } finally {
    await buckets.remove(name);
  }
  expect(await buckets.exists(name)).toBe(false);
}

/** The whole of an object. */
export const read = async (s3: Client, bucket: string, key: string): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of await s3.getObject(bucket, key)) chunks.push(chunk);
  return Buffer.concat(chunks);
};

/** Every key of a bucket, in the server's order. */
export const keysOf = async (s3: Client, bucket: string, prefix = ""): Promise<string[]> => {
  const keys: string[] = [];
  for await (const item of s3.listObjectsV2(bucket, prefix, true)) keys.push(item.name);
  return keys;
};
