import { writeConnection } from "./connection.ts";
import { createPool } from "./database.ts";
import { readSecretEnv } from "./env.ts";
import { run } from "./run.ts";

// Run after a database was cloned: the row still names the database it came from.
await run(async () => {
  const env = readSecretEnv();
  const pool = createPool(env, "guestbook-reseed");
  try {
    await writeConnection(pool, { database: env.PGDATABASE, secret: env.APP_SECRET });
  } finally {
    await pool.end();
  }
  console.info(`${env.PGDATABASE}: connection row written`);
});
