/* Looks into JSON that a program printed: nothing that it may say throws. */

/** The value as an object, an empty one for anything else. */
export function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** The value as a list, an empty one for anything else. */
export const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** The value when it is a text. */
export const asText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** The object that a line holds; undefined when it holds none. */
export function parseLine(line: string): Record<string, unknown> | undefined {
  // A line that is no JSON begins otherwise, and most programs print some.
  if (!line.trimStart().startsWith("{")) return undefined;
  try {
    return asRecord(JSON.parse(line));
  } catch {
    return undefined;
  }
}
