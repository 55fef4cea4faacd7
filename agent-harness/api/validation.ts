import type { z } from "@hono/zod-openapi";
import { HarnessError } from "../shared/errors.ts";

/* What a request has to be like, and how it is said that it is not: the field, and what it takes. */

/** The value as its schema has it; INVALID_REQUEST that names every field which does not fit, and what each takes. */
export function checked<Schema extends z.ZodType>(where: string, schema: Schema, value: unknown): z.output<Schema> {
  const { success, data, error } = schema.safeParse(value, { error: wordingOf });
  if (success) return data;
  const lines = error.issues
    .flatMap(innermost)
    .map(({ path, message }) => [[where, ...path].join("."), message].join(": "));
  throw new HarnessError("INVALID_REQUEST", lines.join("; "));
}

/** Where one of several forms is the one that was meant, what is wrong in it. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  const meant = issue.errors.find((issues) => issues.every(({ path }) => path.length > 0)) ?? [];
  const inner = meant.map((one) => ({ ...one, path: [...issue.path, ...one.path] }));
  return inner.length === 0 ? [issue] : inner.flatMap(innermost);
}

/** The words for what zod found, where the schema has none of its own. */
const wordingOf: z.core.$ZodErrorMap = (issue) => {
  const { input } = issue;
  if (issue.code === "too_small" && issue.origin === "string") return "must not be empty";
  if (issue.code === "too_small") return `must be at least ${issue.minimum}, not ${shown(input)}`;
  if (issue.code === "too_big") return `must be at most ${issue.maximum}, not ${shown(input)}`;
  if (issue.code === "invalid_format" && issue.format === "url")
    return "must be a URL, such as http://127.0.0.1:9000/hook";
  const takes = takesOf(issue);
  if (takes === undefined) return undefined;
  return input === undefined ? `is missing; it takes ${takes}` : `takes ${takes}, not ${shown(input)}`;
};

type Issue = Pick<z.core.$ZodRawIssue, "code"> & {
  expected?: unknown;
  values?: readonly unknown[];
  errors?: readonly (readonly Issue[])[];
};

/** What a field takes; undefined for an issue that is not about this. */
function takesOf(issue: Issue): string | undefined {
  if (issue.code === "invalid_value") {
    const values = (issue.values ?? []).map(String);
    return values.length > 1 ? `one of ${values.join(", ")}` : values.join();
  }
  if (issue.code === "invalid_type") return kinds[String(issue.expected)] ?? String(issue.expected);
  if (issue.code !== "invalid_union") return undefined;
  const forms = (issue.errors ?? []).flatMap((issues) => issues.flatMap((one) => takesOf(one) ?? []));
  return [...new Set(forms)].join(" or ");
}

const kinds: Record<string, string> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
  null: "null",
};

/** What was given: a short text or a number as it is, of all else only what it is. */
function shown(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return value.length <= 40 ? JSON.stringify(value) : "a long text";
  return typeof value === "object" ? "an object" : String(value);
}
