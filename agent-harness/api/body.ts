import { errorText, HarnessError } from "../shared/errors.ts";

/** As large as a request may be: a task of a quarter of a million words. */
export const maxBodyBytes = 1024 * 1024;

/** The JSON in a request, whatever its content type says; undefined when there is none at all. */
export async function readJson(request: Request): Promise<unknown> {
  const text = await readText(request);
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text, requireKeepable);
  } catch (error) {
    if (error instanceof HarnessError) throw error;
    throw new HarnessError("INVALID_REQUEST", `The body is no JSON: ${errorText(error)}`);
  }
}

async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) throw tooLarge();
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > maxBodyBytes) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

const tooLarge = (): HarnessError =>
  new HarnessError("BODY_TOO_LARGE", `A request may have ${maxBodyBytes / 1024} kB.`, {
    hint: "Put long texts into a file of the project and name it in the task.",
  });

/** Postgres keeps neither NUL nor half a surrogate pair, and no program prints them. */
function requireKeepable(key: string, value: unknown): unknown {
  for (const text of [key, value]) {
    if (typeof text === "string" && /[\0\p{Surrogate}]/u.test(text)) {
      throw new HarnessError("INVALID_REQUEST", `The body has a character that no text can hold, near ${cut(key)}.`);
    }
  }
  return value;
}

const cut = (key: string): string => JSON.stringify(key.slice(0, 40));
