import { randomBytes } from "node:crypto";
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorNumber, HarnessError } from "./errors.ts";
import { findText } from "./files.ts";
import { startTimeOf } from "./process-tree.ts";

/*
 * A lock between processes that survives SIGKILL of its holder: the next one sees at once that the holder's pid is gone
 * (or belongs to a later process) and goes on. ADR 0002 says why it is ours.
 *
 * The lock is a folder with numbered files; the highest number counts. A file is either "held by pid, started at" or
 * "free". To take the lock one creates number n+1, by a hard link (which fails when the number exists), after seeing
 * that n is free or that its holder is dead; afterwards nothing higher may exist. Lower numbers are then deleted. The highest
 * is never deleted, only overwritten with "free", so two takers can never both win.
 */

interface Holder {
  pid: number;
  started: string;
  doing: string;
}

export interface LockOptions {
  /** What the holder is doing, for the message that others get. */
  doing: string;
  /** How long to wait for another holder, in ms. (Default: 60000) */
  timeoutMs?: number;
  /** Called once when the lock is held by somebody else. */
  onWait?: (holder: { pid: number; doing: string }) => void;
}

/** Runs `work` while holding the lock in `folder`; waits for another holder, and throws LOCK_HELD with its pid after the limit. */
export async function withLock<T>(folder: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const file = await acquire(folder, options);
  try {
    return await work();
  } finally {
    await replace(file, "free");
  }
}

/** Who holds the lock now, if anybody alive does. */
export async function lockHolder(folder: string): Promise<{ pid: number; doing: string } | undefined> {
  const top = await highest(folder);
  return top === 0 ? undefined : await livingHolder(join(folder, String(top)));
}

/** Who was killed while holding the lock; the next one who wants it has it at once. */
export async function deadHolder(folder: string): Promise<{ pid: number; doing: string } | undefined> {
  const top = await highest(folder);
  const file = join(folder, String(top));
  if (top === 0 || (await livingHolder(file)) !== undefined) return undefined;
  const text = (await findText(file)) ?? "free";
  return text === "free" ? undefined : parseHolder(text);
}

async function acquire(folder: string, options: LockOptions): Promise<string> {
  await mkdir(folder, { recursive: true });
  const mine: Holder = { pid: process.pid, started: (await startTimeOf(process.pid)) ?? "", doing: options.doing };
  const end = Date.now() + (options.timeoutMs ?? 60_000);
  for (let waited = false; ; waited = true) {
    const top = await highest(folder);
    const holder = top === 0 ? undefined : await livingHolder(join(folder, String(top)));
    if (holder === undefined) {
      const file = await tryNext(folder, top + 1, mine);
      if (file !== undefined) return file;
      continue;
    }
    if (!waited) options.onWait?.(holder);
    if (Date.now() > end) {
      throw new HarnessError("LOCK_HELD", `Process ${holder.pid} is busy with "${holder.doing}".`, {
        hint: `Wait for it, or look at it with: ps -p ${holder.pid} -o args=`,
        context: { pid: holder.pid, doing: holder.doing },
      });
    }
    await delay(20);
  }
}

async function highest(folder: string): Promise<number> {
  const entries = await readdir(folder).catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return [];
    throw error;
  });
  return Math.max(0, ...entries.filter((entry) => /^\d+$/.test(entry)).map(Number));
}

async function livingHolder(file: string): Promise<Holder | undefined> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    // Deleted by the taker of a higher number; the caller looks again.
    if (errorNumber(error) === "ENOENT") return "free";
    throw error;
  });
  if (text === "free") return undefined;
  const holder = parseHolder(text);
  if (holder === undefined) return undefined;
  const started = await startTimeOf(holder.pid);
  return started !== undefined && started === holder.started ? holder : undefined;
}

/** What a lock file says; undefined for what a power cut left of it, since a holder's file is whole before it is linked. */
function parseHolder(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined;
  }
}

async function tryNext(folder: string, number: number, mine: Holder): Promise<string | undefined> {
  const file = join(folder, String(number));
  const scratch = join(folder, `${randomBytes(6).toString("hex")}.new`);
  await writeFile(scratch, JSON.stringify(mine), { mode: 0o600 });
  try {
    await link(scratch, file);
  } catch (error) {
    if (errorNumber(error) === "EEXIST") return undefined;
    throw error;
  } finally {
    await rm(scratch, { force: true });
  }
  const top = await highest(folder);
  if (top > number) {
    // Our number was old: it had been taken, freed and deleted before we linked.
    await rm(file, { force: true });
    return undefined;
  }
  for (let old = number - 1; old > 0 && (await removed(join(folder, String(old)))); old -= 1);
  return file;
}

async function removed(file: string): Promise<boolean> {
  try {
    await rm(file);
    return true;
  } catch (error) {
    if (errorNumber(error) === "ENOENT") return false;
    throw error;
  }
}

async function replace(file: string, text: string): Promise<void> {
  const scratch = `${file}.free`;
  await writeFile(scratch, text, { mode: 0o600 });
  await rename(scratch, file);
}
