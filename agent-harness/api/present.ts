type Present<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

type Clean<T> = T extends readonly unknown[]
  ? T
  : T extends Record<string, unknown>
    ? { [Key in keyof T]: Clean<Exclude<T[Key], undefined>> }
    : T;

/** The same object without what is undefined, in its objects too; what was left out of a request is left out of a call. */
export function present<T extends Record<string, unknown>>(given: T): Clean<Present<T>> {
  const kept = Object.entries(given).filter(([, value]) => value !== undefined);
  const inner = kept.map(([key, value]) => [key, isPlain(value) ? present(value) : value]);
  return Object.fromEntries(inner) as Clean<Present<T>>;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
