import type { Pool } from "pg";
import { type Bucket, createBucket } from "./bucket.ts";
import { createPool } from "./database.ts";
import type { AppEnv } from "./env.ts";

/** What the API and the worker both work with. */
export interface Context {
  env: AppEnv;
  pool: Pool;
  bucket: Bucket;
}

/** The context of one process; `name` shows in the database's list of connections. */
export const createContext = (env: AppEnv, name: string): Context => ({
  env,
  pool: createPool(env, name),
  bucket: createBucket(env),
});
