import { Client } from "pg";
import { writeConnection } from "./connection.ts";
import { run } from "./run.ts";

// Run after a database was cloned: the row still names the database it came from. Every launch waits for this, so it
// imports as little as it can: pg reads PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE by itself.
await run(async () => {
  const secret = process.env["APP_SECRET"];
  const database = process.env["PGDATABASE"];
  if (!secret || !database) throw new Error("APP_SECRET and PGDATABASE must be set.");
  const client = new Client({ application_name: "guestbook-reseed" });
  await client.connect();
  try {
    await writeConnection(client, { database, secret });
  } finally {
    await client.end();
  }
  console.info(`${database}: connection row written`);
});
