import type { Entry, NewEntry } from "common";
import type { Pool } from "pg";
import type { Bucket } from "./bucket.ts";
import { type Queryable, transaction } from "./database.ts";
import { addJobs } from "./jobs.ts";
import type { Picture } from "./pictures.ts";

interface Row {
  id: number;
  name: string;
  message: string;
  picture_type: string | null;
  created_at: Date;
}

const columns = "id, name, message, picture_type, created_at";

/** Key of an entry's picture in the bucket. */
export const pictureKey = (id: number): string => `pictures/${id}`;

/** The newest entries, newest first. */
export async function listEntries(db: Queryable, limit = 200): Promise<Entry[]> {
  const { rows } = await db.query<Row>(`select ${columns} from entries order by id desc limit $1`, [limit]);
  return rows.map(toEntry);
}

/** One entry; undefined when there is none. */
export async function findEntry(db: Queryable, id: number): Promise<Entry | undefined> {
  const { rows } = await db.query<Row>(`select ${columns} from entries where id = $1`, [id]);
  const [row] = rows;
  return row && toEntry(row);
}

/** Content type of an entry's picture; undefined when there is no such entry, or it has none. */
export async function findPictureType(db: Queryable, id: number): Promise<string | undefined> {
  const { rows } = await db.query<Row>("select picture_type from entries where id = $1", [id]);
  return rows[0]?.picture_type ?? undefined;
}

/** Stores an entry, its picture and the jobs that follow from it: all of them or none. */
export async function addEntry(
  { pool, bucket }: { pool: Pool; bucket: Bucket },
  entry: NewEntry,
  picture?: Picture,
): Promise<Entry> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<Row>(
      `insert into entries (name, message, picture_type) values ($1, $2, $3) returning ${columns}`,
      [entry.name, entry.message, picture?.type ?? null],
    );
    const [row] = rows;
    if (!row) throw new Error("The database did not return the new entry.");
    await addJobs(client, row.id);
    // Last: when the bucket does not take the picture, nothing of the entry stays.
    if (picture) await bucket.put(pictureKey(row.id), picture.bytes, picture.type);
    return toEntry(row);
  });
}

const toEntry = (row: Row): Entry => ({
  id: row.id,
  name: row.name,
  message: row.message,
  createdAt: row.created_at.toISOString(),
  picture: row.picture_type === null ? null : `/api/v1/entries/${row.id}/picture`,
});
