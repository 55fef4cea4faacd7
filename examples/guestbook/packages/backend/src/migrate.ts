import { readDatabaseEnv } from "./env.ts";
import { run } from "./run.ts";
import { withKnex } from "./schema.ts";

await run(async () => {
  const env = readDatabaseEnv();
  const applied = await withKnex(env, async (db): Promise<string[]> => (await db.migrate.latest())[1]);
  console.info(`${env.PGDATABASE}: ${applied.length === 0 ? "up to date" : `applied ${applied.join(", ")}`}`);
});
