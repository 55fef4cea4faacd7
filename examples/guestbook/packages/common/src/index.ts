import { z } from "zod";

/** Largest picture that may be posted with an entry, in bytes. */
export const maxPictureBytes = 2 * 1024 * 1024;

/** The kinds of picture that an entry may carry. */
export const pictureTypes = ["image/jpeg", "image/png", "image/webp", "image/gif"] as const;

export type PictureType = (typeof pictureTypes)[number];

// Control characters have no business in a name: it ends up in a mail's subject.
const oneLine = /^[^\p{Cc}]*$/u;

/** What a visitor writes, as the form and the API both check it. */
export const newEntrySchema = z.object({
  name: z
    .string()
    .trim()
    .min(1, "Please tell us your name.")
    .max(80, "A name may have at most 80 characters.")
    .regex(oneLine, "A name must fit on one line."),
  message: z
    .string()
    .trim()
    .min(1, "Please write a message.")
    .max(2000, "A message may have at most 2000 characters.")
    // Postgres text cannot hold this one character.
    .refine((text) => !text.includes("\0"), "A message may not contain the NUL character."),
});

export type NewEntry = z.output<typeof newEntrySchema>;

/** An entry as the API gives it. */
export const entrySchema = z.object({
  id: z.int().positive(),
  name: z.string(),
  message: z.string(),
  createdAt: z.iso.datetime(),
  /** Path of the picture on the API, or null when the entry has none. */
  picture: z.string().nullable(),
});

export type Entry = z.output<typeof entrySchema>;

export const entryListSchema = z.object({ entries: z.array(entrySchema) });

/** Answer of `GET /api/v1/health` when the API is well. */
export const healthSchema = z.object({
  status: z.literal("ok"),
  database: z.string(),
  agentId: z.string().nullable(),
});

export type Health = z.output<typeof healthSchema>;

/** Answer of `GET /api/v1/connection`: the database named in the encrypted row, and whether it is the one in use. */
export const connectionSchema = z.object({ database: z.string(), matches: z.boolean() });

export type Connection = z.output<typeof connectionSchema>;

/** Answer of the API to a request that failed; `issues` names the fields of the form that are wrong. */
export const errorSchema = z.object({
  error: z.string(),
  issues: z.record(z.string(), z.string()).optional(),
});

export type ApiError = z.output<typeof errorSchema>;
