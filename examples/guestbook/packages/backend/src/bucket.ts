import type { Readable } from "node:stream";
import type { Client } from "minio";
import type { AppEnv } from "./env.ts";

export interface Bucket {
  put(key: string, content: Buffer, type: string): Promise<void>;
  /** The content, or undefined when there is no such key. */
  find(key: string): Promise<Readable | undefined>;
}

/** The application's bucket, which must exist. The client is loaded with the first use: it is slower to load than Express. */
export function createBucket(env: AppEnv): Bucket {
  let loading: Promise<Client> | undefined;
  const client = () => {
    loading ??= connect(env);
    return loading;
  };
  return {
    async put(key, content, type) {
      await (await client()).putObject(env.S3_BUCKET, key, content, content.length, { "Content-Type": type });
    },
    async find(key) {
      try {
        return await (await client()).getObject(env.S3_BUCKET, key);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "NoSuchKey") return undefined;
        throw error;
      }
    },
  };
}

async function connect(env: AppEnv): Promise<Client> {
  const { Client } = await import("minio");
  const { protocol, hostname, port } = new URL(env.S3_ENDPOINT);
  const useSSL = protocol === "https:";
  return new Client({
    endPoint: hostname,
    port: port === "" ? (useSSL ? 443 : 80) : Number(port),
    useSSL,
    region: env.S3_REGION,
    accessKey: env.S3_ACCESS_KEY,
    secretKey: env.S3_SECRET_KEY,
    pathStyle: true,
  });
}
