import type { Client } from "minio";

/** What a bucket holds besides the stamp: the text of each object, its type and its own metadata, by key. */
export async function objectsIn(s3: Client, bucket: string): Promise<Record<string, unknown>> {
  const found: [string, unknown][] = [];
  for await (const { name } of s3.listObjects(bucket, "", true)) {
    if (name === undefined || name === ".agent-harness.json") continue;
    const chunks: Buffer[] = [];
    for await (const chunk of await s3.getObject(bucket, name)) chunks.push(chunk);
    const { metaData } = await s3.statObject(bucket, name);
    found.push([name, { text: Buffer.concat(chunks).toString("utf8"), ...metaData }]);
  }
  return Object.fromEntries(found);
}
