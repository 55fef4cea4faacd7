import { join } from "node:path";
import { z } from "zod";
import { findText, writeFileAtomic } from "../../shared/files.ts";
import { withLock } from "../../shared/lock.ts";
import { idOfProcess } from "../../shared/names.ts";
import type { HomePaths } from "../../shared/paths.ts";
import type { ProcessStatus } from "../../shared/processes.ts";
import type { Ledger } from "../ledger.ts";
import { memoryByStack } from "./stack-memory.ts";

/*
 * How much memory a stack of a project needs, learned from those that ran: <home>/estimates.json. Each stack counts once,
 * with the most that was ever measured of it; the estimate is the median over the last twenty, so that one that leaked
 * does not decide.
 */

/** What a stack of a project counts for of which none has run yet. */
const unknownBytes = 400 * 1024 * 1024;

/** How many stacks are remembered of a project. */
const maxStacks = 20;

/** A stack counts for at most so much, or so many times what it began with: where only one has run, and leaked, another may start. */
const maxBytes = 2 ** 30;
const maxGrowth = 4;

const measured = z.object({
  /** The agent id and when the stack was first launched: an id used again is another stack. */
  stack: z.string(),
  firstBytes: z.number(),
  mostBytes: z.number(),
});

const schema = z.object({ version: z.literal(1), projects: z.record(z.string(), z.array(measured)) });

export type Measured = z.output<typeof measured>;
export type Estimates = z.output<typeof schema>["projects"];

/** Whose stacks are alike. */
export type ProjectKey = Pick<Ledger, "project" | "repository">;

const fileOf = (paths: HomePaths): string => join(paths.home, "estimates.json");
const keyOf = ({ project, repository }: ProjectKey): string => `${project} ${repository}`;
const stackOf = ({ id, createdAt }: Pick<Ledger, "id" | "createdAt">): string => `${id} ${createdAt}`;

/** Everything learned so far. A file that cannot be understood counts as none: it is learned again. */
export async function readEstimates(paths: HomePaths): Promise<Estimates> {
  const text = await findText(fileOf(paths));
  if (text === undefined) return {};
  try {
    return schema.parse(JSON.parse(text)).projects;
  } catch {
    return {};
  }
}

/** What a stack of a project will need, as far as is known. */
export function estimateOf(estimates: Estimates, key: ProjectKey): number {
  const all = (estimates[keyOf(key)] ?? []).map((one) => countedBytes(one));
  const sorted = all.sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? unknownBytes;
}

const countedBytes = ({ firstBytes, mostBytes }: Measured): number =>
  Math.min(mostBytes, Math.max(maxBytes, maxGrowth * firstBytes));

/** The list with one more measurement in it; the same list when it says nothing new. */
export function learn(known: readonly Measured[], stack: string, bytes: number): readonly Measured[] {
  const before = known.find((one) => one.stack === stack);
  if (before === undefined) return [...known, { stack, firstBytes: bytes, mostBytes: bytes }].slice(-maxStacks);
  // A little more is not worth a write each time that somebody looks.
  if (bytes <= before.mostBytes * 1.05) return known;
  return known.map((one) => (one === before ? { ...one, mostBytes: bytes } : one));
}

/**
 * Measures stacks that run, and remembers it for later launches. Those that are not known to be well do not count. Whoever
 * looks at stacks does this on the way: that it cannot be written down is no reason for them to fail.
 */
export async function learnMemory(
  paths: HomePaths,
  running: readonly ProcessStatus[],
  ledgers: readonly Ledger[],
): Promise<void> {
  const ids = new Set(ledgers.map((one) => one.id));
  const own = running.filter(({ name }) => ids.has(idOfProcess(name) ?? 0));
  await memoryByStack(own)
    .then((measured) => remember(paths, ledgers, measured))
    .catch(() => undefined);
}

async function remember(
  paths: HomePaths,
  ledgers: readonly Ledger[],
  measuredById: ReadonlyMap<number, number>,
): Promise<void> {
  const seen = ledgers.flatMap((ledger) => {
    const bytes = measuredById.get(ledger.id);
    return bytes === undefined || bytes === 0 ? [] : [{ key: keyOf(ledger), stack: stackOf(ledger), bytes }];
  });
  const learned = (before: Estimates): Estimates => {
    const after = { ...before };
    for (const { key, stack, bytes } of seen) after[key] = [...learn(after[key] ?? [], stack, bytes)];
    return after;
  };
  const isNews = (before: Estimates): boolean => JSON.stringify(learned(before)) !== JSON.stringify(before);
  if (!isNews(await readEstimates(paths))) return;
  await withLock(join(paths.home, "locks", "estimates"), { doing: "writing down what stacks use" }, async () => {
    const projects = learned(await readEstimates(paths));
    await writeFileAtomic(fileOf(paths), `${JSON.stringify({ version: 1, projects }, null, 2)}\n`);
  });
}
