import {
  type Connection,
  connectionSchema,
  type Entry,
  entryListSchema,
  entrySchema,
  errorSchema,
  type Health,
  healthSchema,
} from "common";
import type { z } from "zod";

/** A request that the API refused; `issues` holds the message for each field of the form that is wrong. */
export class ApiFailure extends Error {
  readonly issues: Record<string, string>;

  constructor(message: string, issues: Record<string, string> = {}) {
    super(message);
    this.issues = issues;
  }
}

export const getHealth = (): Promise<Health> => ask(healthSchema, "/api/v1/health");

export const getConnection = (): Promise<Connection> => ask(connectionSchema, "/api/v1/connection");

export const getEntries = async (): Promise<Entry[]> => (await ask(entryListSchema, "/api/v1/entries")).entries;

/** Posts the form as it is: name, message and perhaps a picture. */
export const postEntry = (form: FormData): Promise<Entry> =>
  ask(entrySchema, "/api/v1/entries", { method: "POST", body: form });

async function ask<Schema extends z.ZodType>(
  schema: Schema,
  path: string,
  init?: RequestInit,
): Promise<z.output<Schema>> {
  const response = await fetch(path, init);
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return schema.parse(body);
  const failure = errorSchema.safeParse(body);
  if (failure.success) throw new ApiFailure(failure.data.error, failure.data.issues);
  throw new ApiFailure(`The guestbook does not answer (${response.status}).`);
}

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
