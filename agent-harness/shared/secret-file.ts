import { randomBytes } from "node:crypto";
import { chmod, link, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { errorNumber } from "./errors.ts";
import { findText } from "./files.ts";

/** The secret in a file that only we may read, made at the first time. Two that ask at once get the same one. */
export async function ensureSecret(path: string, make: () => string): Promise<string> {
  const known = await findSecret(path);
  if (known !== undefined) return known;
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  const scratch = `${path}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await writeFile(scratch, `${make()}\n`, { mode: 0o600, flag: "wx" });
    // A link is made or is there already: nobody sees half a secret, and nobody's secret is replaced.
    await link(scratch, path);
  } catch (error) {
    if (errorNumber(error) !== "EEXIST") throw error;
  } finally {
    await rm(scratch, { force: true });
  }
  return (await findSecret(path)) ?? (await ensureSecret(path, make));
}

/** The secret in a file, or undefined where there is none. */
export async function findSecret(path: string): Promise<string | undefined> {
  const text = (await findText(path))?.trim();
  if (text === undefined || text === "") return undefined;
  await chmod(path, 0o600);
  return text;
}
