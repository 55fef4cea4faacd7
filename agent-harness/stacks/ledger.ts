import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HarnessError } from "../shared/errors.ts";
import { findText, setAside, writeFileAtomic } from "../shared/files.ts";
import { agentIds } from "../shared/names.ts";
import { type HomePaths, removeFolder } from "../shared/paths.ts";

/*
 * The ledger is the record of what one stack's launch created, at <home>/stacks/<id>/ledger.json. It is written before
 * and after each resource is made, so that whatever kills us, the next launch or teardown knows where to go on. It
 * holds names and numbers, never secrets.
 */

/** The things a stack owns, in the order in which they are made. The one list of them. */
export const resourceKinds = [
  "ports",
  "worktree",
  "install",
  "database",
  "bucket",
  "mailbox",
  "env-file",
  "instructions",
  "process-file",
  "after-clone",
  "processes",
] as const;
export type ResourceKind = (typeof resourceKinds)[number];

const entry = z.object({
  kind: z.enum(resourceKinds),
  /** `creating` and `destroying` are what a killed command leaves. */
  state: z.enum(["creating", "created", "destroying"]),
  at: z.string(),
  /** What ensure made: names and numbers. */
  data: z.record(z.string(), z.unknown()).default({}),
});

const processEntry = z.object({
  /** The process's name in the config. */
  process: z.string(),
  /** Its name in PM2. */
  name: z.string(),
  aliases: z.array(z.string()),
  logFile: z.string(),
  port: z.int().optional(),
  healthUrl: z.string().optional(),
  /** How long it may take to be healthy, and to stay up without a health check, as at the launch. */
  healthTimeoutMs: z.number().optional(),
  settleMs: z.number().optional(),
});

const schema = z.object({
  version: z.literal(1),
  id: z.int().min(agentIds.min).max(agentIds.max),
  project: z.string(),
  repository: z.string(),
  /** Where the stack's processes run and its files lie. */
  workdir: z.string(),
  configPath: z.string(),
  status: z.enum(["launching", "ready", "failed", "tearing-down", "stopped"]),
  /** When its processes were stopped although nobody asked for it, and why. */
  stopped: z.object({ at: z.string(), reason: z.string() }).optional(),
  /** For how long it may be there from a launch, in ms, and until when that is. */
  ttlMs: z.int().optional(),
  expiresAt: z.string().optional(),
  /** For how long it may be unused before its processes are stopped, in ms. */
  idleMs: z.int().optional(),
  /** There while a reset takes the old data away; a launch that finds it goes on with that first. */
  resetting: z.boolean().optional(),
  /** The snapshot that is being restored; a launch that finds it goes on with that first. */
  restoring: z.string().optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
  ports: z.record(z.string(), z.int()),
  urls: z.record(z.string(), z.string()),
  resources: z.array(entry),
  processes: z.array(processEntry),
});

export type Ledger = z.output<typeof schema>;
export type LedgerProcess = z.output<typeof processEntry>;

/** Where the ledger of a stack is. */
export const ledgerPath = (paths: HomePaths, id: number): string => join(paths.stacks, String(id), "ledger.json");

/** What was read, or where an unreadable file is now. */
export type LedgerFound = { ledger: Ledger } | { corrupt: string } | undefined;

/** Reads a ledger. One that cannot be understood is set aside; the caller rebuilds it from what exists. */
export async function readLedger(paths: HomePaths, id: number): Promise<LedgerFound> {
  const path = ledgerPath(paths, id);
  const text = await findText(path);
  if (text === undefined) return undefined;
  const ledger = parse(text);
  return ledger === undefined ? { corrupt: await setAside(path) } : { ledger };
}

/** Looks into a ledger and leaves it where it is; undefined when there is none, or none that can be understood. */
export async function findLedger(paths: HomePaths, id: number): Promise<Ledger | undefined> {
  const found = await lookAtLedger(paths, id);
  return found !== undefined && "ledger" in found ? found.ledger : undefined;
}

/** Looks at a ledger and leaves it where it is, also when it cannot be understood. */
export async function lookAtLedger(paths: HomePaths, id: number): Promise<LedgerFound> {
  const path = ledgerPath(paths, id);
  const text = await findText(path);
  if (text === undefined) return undefined;
  const ledger = parse(text);
  return ledger === undefined ? { corrupt: path } : { ledger };
}

function parse(text: string): Ledger | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The ledger of a stack that must be there. */
export async function getLedger(paths: HomePaths, id: number): Promise<Ledger> {
  const found = await readLedger(paths, id);
  if (found !== undefined && "ledger" in found) return found.ledger;
  const kept = found === undefined ? "" : ` Its ledger could not be read and is kept as ${found.corrupt}.`;
  throw new HarnessError("STACK_NOT_FOUND", `There is no stack of agent ${id}.${kept}`, {
    hint: `Run: agent-harness launch ${id}`,
  });
}

/** Writes a ledger so that it survives whatever comes next. */
export async function writeLedger(paths: HomePaths, ledger: Ledger): Promise<void> {
  ledger.updatedAt = new Date().toISOString();
  await writeFileAtomic(ledgerPath(paths, ledger.id), `${JSON.stringify(ledger, null, 2)}\n`);
}

/** Forgets a stack: its ledger and its logs. */
export async function removeLedger(paths: HomePaths, id: number): Promise<void> {
  await removeFolder(join(paths.stacks, String(id)), paths.home);
}

/** Ids that have a folder of state, with or without a readable ledger, in order. */
export async function listStackIds(paths: HomePaths): Promise<number[]> {
  const entries = await readdir(paths.stacks).catch(() => []);
  return entries
    .filter((name) => /^[1-9][0-9]?$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** Every ledger that is there and can be read, in the order of the ids. */
export async function listLedgers(paths: HomePaths): Promise<Ledger[]> {
  const all = (await listStackIds(paths)).map((id) => findLedger(paths, id));
  return (await Promise.all(all)).flatMap((one) => one ?? []);
}
