import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { asHarnessError, errorNumber, errorText, HarnessError } from "../shared/errors.ts";
import { findText, setAside, writeFileAtomic } from "../shared/files.ts";
import type { NewEvent } from "./event.ts";

/** Events that wait in a file for Postgres to come back, 0600, a file a batch. */
export interface Spool {
  /** Returns when the file is on the disk. */
  write(key: string, events: readonly NewEvent[]): Promise<void>;
  /** The files there are, in the order in which they were written. */
  list(): Promise<string[]>;
  /** What is in a file; undefined when it is gone. STATE_UNREADABLE when it is not one of ours. */
  read(file: string): Promise<Batch | undefined>;
  remove(file: string): Promise<void>;
  /** Puts a file out of the way and says where; the log goes on without it. */
  setAside(file: string, why: unknown): Promise<HarnessError>;
}

/** Events that get into the log together, once. */
export interface Batch {
  key: string;
  events: NewEvent[];
}

/** A key that nobody else has. */
export const newKey = (): string => randomUUID();

/** The spool in a folder, which is made with the first file. */
export function openSpool(folder: string): Spool {
  // A clock that is set back must not turn the order around.
  let last = 0;
  return {
    write: async (key, events) => {
      last = Math.max(Date.now(), last + 1);
      const file = join(folder, `${String(last).padStart(15, "0")}-${key}.json`);
      try {
        await writeFileAtomic(file, `${JSON.stringify({ version: 1, key, events })}\n`);
        await syncFolder(folder);
      } catch (error) {
        throw asHarnessError(error);
      }
    },
    list: async () => {
      const names = await readdir(folder).catch((error: unknown) => {
        if (errorNumber(error) === "ENOENT") return [];
        throw error;
      });
      return names.filter((name) => /^\d{15}-[\w-]+\.json$/.test(name)).sort();
    },
    read: async (file) => {
      const text = await findText(join(folder, file));
      return text === undefined ? undefined : parse(folder, file, text);
    },
    remove: (file) => rm(join(folder, file), { force: true }),
    setAside: async (file, why) => {
      const kept = await setAside(join(folder, file));
      return new HarnessError(
        "STATE_UNREADABLE",
        `Events that waited for Postgres could not be used: ${errorText(why)}`,
        {
          hint: `Look at ${kept}`,
          leftBehind: kept,
        },
      );
    },
  };
}

/** The name of a new file is on the disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function parse(folder: string, file: string, text: string): Batch {
  try {
    const { version, key, events } = JSON.parse(text) as { version: unknown } & Batch;
    if (version === 1 && typeof key === "string" && Array.isArray(events)) return { key, events };
  } catch {
    // Said below.
  }
  throw new HarnessError("STATE_UNREADABLE", `${join(folder, file)} is not a file of events.`);
}
