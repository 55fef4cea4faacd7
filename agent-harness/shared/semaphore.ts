import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorNumber } from "./errors.ts";
import { withLock } from "./lock.ts";
import { startTimeOf } from "./process-tree.ts";

/*
 * A semaphore between the processes of one machine that survives SIGKILL of its holders. Whoever wants a permit draws the
 * next number, under a lock, and has the permit when fewer living processes with lower numbers are before it than there are
 * permits: first come, first served, and what a dead process drew counts for nothing.
 */

/** Who holds a permit or waits for one. */
export interface PermitHolder {
  pid: number;
  doing: string;
}

interface Ticket extends PermitHolder {
  number: number;
  started: string;
}

export interface PermitOptions {
  /** How many may work at the same time. */
  permits: number;
  /** What the holder is doing, for those who wait. */
  doing: string;
  /** Called once, when others are before us. */
  onWait?: (holders: readonly PermitHolder[]) => void;
  /** Ends the waiting: `work` is then run without a permit, to find out by itself that it was stopped. */
  signal?: AbortSignal | undefined;
}

/** Runs `work` while holding one of the permits in `folder`, after those who asked before. Returns how long it waited, in ms. */
export async function withPermit<T>(
  folder: string,
  options: PermitOptions,
  work: (waitedMs: number) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  const mine = await draw(folder, options.doing);
  try {
    await waitForTurn(folder, mine, options);
    return await work(performance.now() - start);
  } finally {
    await rm(pathOf(folder, mine.number), { force: true });
  }
}

/** The living processes that hold a permit or wait for one, in the order in which they asked. */
export async function permitHolders(folder: string): Promise<PermitHolder[]> {
  return (await living(folder)).map(publicPart);
}

const publicPart = ({ pid, doing }: Ticket): PermitHolder => ({ pid, doing });

const pathOf = (folder: string, number: number): string => join(folder, `${number}.ticket`);

/** Draws the next number. Numbers only rise, also past those of the dead, so nobody can come in before somebody else. */
async function draw(folder: string, doing: string): Promise<Ticket> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const started = (await startTimeOf(process.pid)) ?? "";
  return await withLock(join(folder, "lock"), { doing: "drawing a number" }, async () => {
    const all = await numbers(folder);
    const last = Number((await readText(join(folder, "last"))) ?? 0);
    const number = Math.max(last, 0, ...all) + 1;
    const ticket: Ticket = { number, pid: process.pid, started, doing };
    await put(join(folder, "last"), String(number));
    await put(pathOf(folder, number), JSON.stringify(ticket));
    return ticket;
  });
}

async function waitForTurn(folder: string, mine: Ticket, { permits, onWait, signal }: PermitOptions): Promise<void> {
  for (let told = false; signal?.aborted !== true; ) {
    const before = (await living(folder)).filter((one) => one.number < mine.number);
    if (before.length < permits) return;
    if (!told) onWait?.(before.map(publicPart));
    told = true;
    await delay(50, undefined, { signal }).catch(() => undefined);
  }
}

/** The tickets of living processes; those of dead ones are swept away. */
async function living(folder: string): Promise<Ticket[]> {
  const tickets = await Promise.all((await numbers(folder)).map((number) => readLiving(folder, number)));
  return tickets.filter((one) => one !== undefined).sort((a, b) => a.number - b.number);
}

async function readLiving(folder: string, number: number): Promise<Ticket | undefined> {
  const ticket = parseTicket(await readText(pathOf(folder, number)));
  if (ticket === undefined) return undefined;
  const started = await startTimeOf(ticket.pid);
  if (started !== undefined && started === ticket.started) return ticket;
  await rm(pathOf(folder, number), { force: true });
  return undefined;
}

function parseTicket(text: string | undefined): Ticket | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as Ticket);
  } catch {
    // What a power cut left: whoever drew it is gone.
    return undefined;
  }
}

async function numbers(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return [];
    throw error;
  });
  return names.flatMap((name) => /^(\d+)\.ticket$/.exec(name)?.[1] ?? []).map(Number);
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return undefined;
    throw error;
  });
}

/** Whole or not at all; no sync to disk, since after a power cut nobody is left who waits. */
async function put(path: string, text: string): Promise<void> {
  const scratch = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  await writeFile(scratch, text, { mode: 0o600 });
  await rename(scratch, path);
}
