import { writeConnection } from "./connection.ts";
import { createPool } from "./database.ts";
import { readSecretEnv } from "./env.ts";
import { run } from "./run.ts";
import { withKnex } from "./schema.ts";

await run(async () => {
  const env = readSecretEnv();
  await withKnex(env, (db) => db.seed.run());
  const pool = createPool(env, "guestbook-seed");
  try {
    await writeConnection(pool, { database: env.PGDATABASE, secret: env.APP_SECRET });
  } finally {
    await pool.end();
  }
  console.info(`${env.PGDATABASE}: seeded`);
});
