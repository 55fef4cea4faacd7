import type { Knex } from "knex";

const entries = [
  {
    name: "Grace",
    message: "Came for the compiler, stayed for the tea. Thank you for having us!",
    created_at: "2026-01-20T09:12:00Z",
  },
  {
    name: "Edsger",
    message: "A quiet house, well structured. I found every room by its name,\nand none of them led back to itself.",
    created_at: "2026-01-22T16:40:00Z",
  },
  {
    name: "Ada",
    message: "Lovely weather, and the engine in the shed still runs. See you next summer.",
    created_at: "2026-01-25T11:05:00Z",
  },
];

/** Fills an empty guestbook; leaves one that visitors wrote in as it is. */
export async function seed(db: Knex): Promise<void> {
  const written = await db("entries").first("id");
  if (!written) await db("entries").insert(entries);
}
