import { fileURLToPath } from "node:url";
import knex, { type Knex } from "knex";
import { connectionSettings } from "./database.ts";
import type { DatabaseEnv } from "./env.ts";

/** Runs `work` with knex, which owns the migrations and the seeds (the running processes use pg alone). */
export async function withKnex<T>(env: DatabaseEnv, work: (db: Knex) => Promise<T>): Promise<T> {
  const db = knex({
    client: "pg",
    connection: connectionSettings(env),
    pool: { min: 0, max: 1 },
    migrations: { directory: folder("migrations"), loadExtensions: [".js"] },
    seeds: { directory: folder("seeds"), loadExtensions: [".js"] },
  });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

const folder = (name: string): string => fileURLToPath(new URL(`./${name}/`, import.meta.url));
