import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { errorNumber } from "./errors.ts";

export interface WriteOptions {
  /** Permission bits, 0600 unless told otherwise. */
  mode?: number;
}

/** Writes a file so that a reader sees the old text or the new, never half of one, whatever kills us in between. */
export async function writeFileAtomic(path: string, text: string, options: WriteOptions = {}): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const scratch = `${path}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    const file = await open(scratch, "wx", options.mode ?? 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(scratch, options.mode ?? 0o600);
    await rename(scratch, path);
  } catch (error) {
    await rm(scratch, { force: true });
    throw error;
  }
}

/** The text of a file, or undefined where there is none. */
export async function findText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Moves a file that cannot be read out of the way and returns where it is kept. */
export async function setAside(path: string, now: Date = new Date()): Promise<string> {
  const kept = `${path}.corrupt-${now.toISOString().replaceAll(/[:.]/g, "-")}`;
  await rename(path, kept);
  return kept;
}
