import type { Connection } from "common";
import { currentDatabase, type Queryable } from "./database.ts";
import { seal, unseal } from "./sealed.ts";

/**
 * The one row of `connections` names the database it lies in, encrypted with the application's secret. A clone carries
 * the row of the database it was cloned from, perhaps under another secret: it is wrong until it is written anew.
 */
interface Content {
  database: string;
}

/** Writes the row anew, for this database and this secret. */
export async function writeConnection(db: Queryable, content: Content & { secret: string }): Promise<void> {
  const { secret, ...sealable } = content;
  const sealed = await seal(JSON.stringify(sealable), secret);
  await db.query(
    `insert into connections (id, sealed) values (1, $1)
     on conflict (id) do update set sealed = excluded.sealed, updated_at = now()`,
    [sealed],
  );
}

/** Reads the row. Throws when there is none or when the secret does not open it. */
export async function readConnection(db: Queryable, secret: string): Promise<Connection> {
  const { rows } = await db.query<{ sealed: string }>("select sealed from connections where id = 1");
  const [row] = rows;
  if (!row) throw new Error("The table connections is empty.");
  // Nobody without the secret can have written it, so its shape is ours.
  const { database } = JSON.parse(await unseal(row.sealed, secret)) as Content;
  return { database, matches: database === (await currentDatabase(db)) };
}
