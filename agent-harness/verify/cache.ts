import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { findText, writeFileAtomic } from "../shared/files.ts";
import { listFiles } from "../shared/globs.ts";
import type { PlannedStage, VerifyPlan } from "./plan.ts";

/** Goes up whenever a change of verify makes old results worthless. */
const cacheVersion = 1;
const maxEntries = 500;

/** A result that passed before. */
export interface CachedResult {
  durationMs: number;
}

/** Why a stage's result may not be kept, or the key under which it may. */
export type CacheKey = { key: string } | { reason: string | undefined };

/**
 * The key of a stage: its commands, the environment, this Node, and the content of every file that `inputs` choose.
 * `changed` are the changed files of each command. A stage without inputs, or with a URL, has no key.
 */
export async function cacheKey(
  plan: VerifyPlan,
  stage: PlannedStage,
  changed: readonly (string[] | undefined)[],
): Promise<CacheKey> {
  if (stage.inputs === undefined || stage.commands.some((command) => command.type === "http")) {
    return { reason: undefined };
  }
  const files = await listFiles(plan.workdir, stage.inputs);
  if (files.length === 0) return { reason: "not cached: no file matches its inputs" };
  const parts = {
    version: cacheVersion,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    stage: stage.name,
    commands: stage.commands,
    changed: changed.map((one) => one ?? null),
    env: Object.entries(plan.env).sort(([a], [b]) => (a < b ? -1 : 1)),
    files: await hashFiles(plan.workdir, files),
  };
  return { key: createHash("sha256").update(JSON.stringify(parts)).digest("hex") };
}

/** One hash over names and contents. */
async function hashFiles(workdir: string, files: readonly string[]): Promise<string> {
  const all = createHash("sha256");
  const batch = 32;
  for (let from = 0; from < files.length; from += batch) {
    const some = files.slice(from, from + batch);
    const hashes = await Promise.all(some.map((file) => hashFile(join(workdir, file))));
    some.forEach((file, index) => {
      all.update(JSON.stringify([file, hashes[index]]));
    });
  }
  return all.digest("hex");
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** The kept result of a key, or undefined; a file that cannot be understood counts as none. */
export async function findCached(folder: string, key: string): Promise<CachedResult | undefined> {
  const text = await findText(entryPath(folder, key));
  if (text === undefined) return undefined;
  try {
    const entry: unknown = JSON.parse(text);
    if (typeof entry !== "object" || entry === null || !("duration_ms" in entry)) return undefined;
    return typeof entry.duration_ms === "number" ? { durationMs: entry.duration_ms } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Keeps a result that passed, and drops the oldest ones beyond 500. */
export async function keepResult(folder: string, key: string, stage: string, durationMs: number): Promise<void> {
  const entry = { stage, duration_ms: durationMs, passed_at: new Date().toISOString() };
  await writeFileAtomic(entryPath(folder, key), `${JSON.stringify(entry)}\n`);
  const entries = (await readdir(folder)).filter((name) => /^[0-9a-f]{64}\.json$/.test(name));
  if (entries.length <= maxEntries) return;
  const aged = await Promise.all(entries.map(async (name) => ({ name, atMs: await changedAtMs(join(folder, name)) })));
  aged.sort((a, b) => b.atMs - a.atMs);
  for (const { name } of aged.slice(maxEntries)) await rm(join(folder, name), { force: true });
}

const entryPath = (folder: string, key: string): string => join(folder, `${key}.json`);

/** 0 for a file that another verify dropped meanwhile. */
const changedAtMs = async (path: string): Promise<number> =>
  stat(path).then(
    (found) => found.mtimeMs,
    () => 0,
  );
