import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { errorNumber, HarnessError } from "../../shared/errors.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { type Ledger, listStackIds, lookAtLedger } from "../ledger.ts";
import { lookAtClaims, type RegistryEntry } from "../registry.ts";

/** A ledger or registry that could not be read, and was kept under another name. */
export interface KeptAside {
  path: string;
  /** When that was, ms since 1970. */
  at: number;
  /** Of whose stack; absent for the registry. */
  id?: number;
}

/** Who may own something on this machine, as the registry and the ledgers have it at one instant. */
export interface Owners {
  claims: RegistryEntry[];
  ledgers: Ledger[];
  aside: KeptAside[];
  /** Whether a claim or a ledger holds this id: either is enough. */
  owns: (id: number) => boolean;
}

/**
 * Reads the registry and every ledger, and changes neither. STATE_UNREADABLE when one of them cannot be understood: then
 * nobody can say that something has no owner.
 */
export async function readOwners(paths: HomePaths): Promise<Owners> {
  const claims = await readClaims(paths);
  const ledgers = await readLedgers(paths);
  const ids = new Set([...claims, ...ledgers].map((one) => one.id));
  return { claims, ledgers, aside: await listAside(paths), owns: (id) => ids.has(id) };
}

async function readClaims(paths: HomePaths): Promise<RegistryEntry[]> {
  try {
    return await lookAtClaims(paths);
  } catch (cause) {
    const hint =
      "Run: agent-harness status --everywhere, which keeps it aside and rebuilds it from the ledgers. Look whether every stack is there, then run the same command again.";
    throw unreadable("The registry", paths.registry, hint, cause);
  }
}

async function readLedgers(paths: HomePaths): Promise<Ledger[]> {
  // A folder that may not be looked into is not one without ledgers.
  await namesIn(paths.stacks).catch((cause: unknown) => {
    throw unreadable("The folder of the ledgers", paths.stacks, "Make it readable for this user.", cause);
  });
  const all = (await listStackIds(paths)).map(async (id): Promise<Ledger[]> => {
    const found = await lookAtLedger(paths, id).catch((cause: unknown) => {
      throw unreadable(`The ledger of agent ${id}`, join(paths.stacks, String(id)), "Make it readable.", cause);
    });
    if (found === undefined) return [];
    if ("ledger" in found) return [found.ledger];
    const hint = `Run: agent-harness launch ${id} (or teardown ${id}), which keeps it aside and rebuilds it from what exists. Then run the same command again.`;
    throw unreadable(`The ledger of agent ${id}`, found.corrupt, hint);
  });
  return (await Promise.all(all)).flat();
}

function unreadable(what: string, path: string, hint: string, cause?: unknown): HarnessError {
  const why = cause === undefined ? "it is no ledger" : (errorNumber(cause) ?? "it is no registry");
  return new HarnessError("STATE_UNREADABLE", `${what}, ${path}, cannot be read: ${why}.`, {
    hint,
    leftBehind: "everything: nothing was touched",
    context: { path },
    cause,
  });
}

/** Everything that was kept aside, of each stack and of the registry. */
async function listAside(paths: HomePaths): Promise<KeptAside[]> {
  const registry = (await namesIn(paths.home)).flatMap((name) => {
    const at = name.startsWith(`${basename(paths.registry)}.`) ? keptAt(name) : undefined;
    return at === undefined ? [] : [{ path: join(paths.home, name), at }];
  });
  const ledgers = (await listStackIds(paths)).map(async (id): Promise<KeptAside[]> => {
    const folder = join(paths.stacks, String(id));
    return (await namesIn(folder)).flatMap((name) => {
      const at = name.startsWith("ledger.json.") ? keptAt(name) : undefined;
      return at === undefined ? [] : [{ path: join(folder, name), at, id }];
    });
  });
  return [...registry, ...(await Promise.all(ledgers)).flat()];
}

/** When a file was set aside, as its name says; its own times are those of its last writing. */
export function keptAt(name: string): number | undefined {
  const [, day, hour, minute, rest] = /\.corrupt-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d-\d{3})Z$/.exec(name) ?? [];
  if (day === undefined || rest === undefined) return undefined;
  const at = Date.parse(`${day}T${hour}:${minute}:${rest.replace("-", ".")}Z`);
  return Number.isNaN(at) ? undefined : at;
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return [];
    throw error;
  });
}
