import { randomBytes } from "node:crypto";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { findText } from "../../shared/files.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { startTimeOf } from "../../shared/process-tree.ts";

/*
 * The memory that launches under way have been promised: a file each in <home>/admission, which counts for as long as the
 * launching process lives. Who writes or counts them holds `admissionLock`.
 */

const reservation = z.object({ id: z.int(), bytes: z.number(), pid: z.int(), started: z.string() });

/** What one launch under way has been promised. */
export type Reservation = z.output<typeof reservation>;

const folderOf = (paths: HomePaths): string => join(paths.home, "admission");

/** The lock that admissions take turns on. */
export const admissionLock = (paths: HomePaths): string => join(folderOf(paths), "lock");

/** Where those who wait for memory stand in line. */
export const admissionQueue = (paths: HomePaths): string => join(folderOf(paths), "queue");

/** Promises memory to the launch of an agent by this process, until it is disposed of. */
export async function reserve(paths: HomePaths, id: number, bytes: number): Promise<AsyncDisposable> {
  const started = (await startTimeOf(process.pid)) ?? "";
  const file = join(folderOf(paths), `${id}-${randomBytes(4).toString("hex")}.json`);
  await mkdir(folderOf(paths), { recursive: true, mode: 0o700 });
  const mine: Reservation = { id, bytes, pid: process.pid, started };
  await writeFile(file, JSON.stringify(mine), { mode: 0o600 });
  return { [Symbol.asyncDispose]: async () => await rm(file, { force: true }) };
}

/** The promises to launches that are alive; those of dead ones are swept away. */
export async function listReservations(paths: HomePaths): Promise<Reservation[]> {
  const names = (await readdir(folderOf(paths)).catch(() => [])).filter((name) => name.endsWith(".json"));
  const all = await Promise.all(names.map((name) => readLiving(join(folderOf(paths), name))));
  return all.flatMap((one) => one ?? []);
}

async function readLiving(file: string): Promise<Reservation | undefined> {
  const one = parse((await findText(file)) ?? "");
  if (one !== undefined && (await startTimeOf(one.pid)) === one.started) return one;
  await rm(file, { force: true });
  return undefined;
}

function parse(text: string): Reservation | undefined {
  try {
    return reservation.parse(JSON.parse(text));
  } catch {
    // Half a file: whoever wrote it was killed.
    return undefined;
  }
}
