import { mkdir, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { errorNumber } from "../shared/errors.ts";
import { findText, writeFileAtomic } from "../shared/files.ts";
import type { PreparedFile } from "./provider.ts";

/** Puts the files where a program expects them, before it is started; done twice, nothing changes. Their folders are made in any case. */
export async function prepareFiles(files: readonly PreparedFile[]): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(file.path), { recursive: true, mode: 0o700 });
    if ("text" in file) await writeFileAtomic(file.path, file.text);
    else if ("copyOf" in file) await copy(file.copyOf, file.path);
    else if (await isThere(file.linkTo)) await link(file.linkTo, file.path);
    else if (file.orText === undefined) await rm(file.path, { force: true });
    else await writeFileAtomic(file.path, file.orText);
  }
}

async function copy(from: string, path: string): Promise<void> {
  const text = await findText(from);
  if (text === undefined) await rm(path, { force: true });
  else await writeFileAtomic(path, text);
}

async function link(to: string, path: string): Promise<void> {
  const scratch = `${path}.${process.pid}.tmp`;
  await rm(scratch, { force: true });
  await symlink(to, scratch);
  await rename(scratch, path);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return false;
    throw error;
  }
}
