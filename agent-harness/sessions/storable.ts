/* What a program prints may hold what Postgres cannot: a NUL, half of a surrogate pair. Each becomes U+FFFD. */

const unstorable = /\p{Surrogate}|\0/gu;

/** A text that can be stored. */
export const storableText = (text: string): string =>
  text.search(unstorable) < 0 ? text : text.replaceAll(unstorable, "\ufffd");

/** A JSON value that can be stored; the same one when nothing has to be replaced. */
export function storable<T>(value: T): T {
  // As JSON, both are escapes; the text is searched because most values have neither.
  return /\\u(?:0000|d[89a-f])/.test(JSON.stringify(value) ?? "") ? (clean(value) as T) : value;
}

function clean(value: unknown): unknown {
  if (typeof value === "string") return storableText(value);
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [storableText(name), clean(one)]));
}
