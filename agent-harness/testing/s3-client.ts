import { Client } from "minio";
import type { S3Connection } from "../infra/buckets.ts";

/** A client as a project has one: of another make than what is tested, and with the smallest parts that S3 allows. */
export function openS3Client({ url, accessKey, secretKey, region }: S3Connection): Client {
  const { hostname, port } = new URL(url);
  return new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey,
    secretKey,
    region,
    partSize: 5 * 1024 * 1024,
    retryOptions: { disableRetry: true },
  });
}
