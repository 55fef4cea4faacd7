import { join } from "node:path";
import { z } from "zod";
import { HarnessError } from "../shared/errors.ts";
import { findText, setAside, writeFileAtomic } from "../shared/files.ts";
import { withLock } from "../shared/lock.ts";
import { agentIds } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { findLedger, type Ledger, listStackIds, readLedger } from "./ledger.ts";

/*
 * The registry says which repository holds which agent id on this machine. Ports follow from the id, so an id is taken
 * once on the machine, not once a repository.
 */

const entry = z.object({
  repository: z.string(),
  project: z.string(),
  workdir: z.string(),
  configPath: z.string(),
  claimedAt: z.string(),
});

const schema = z.object({ version: z.literal(1), stacks: z.record(z.string().regex(/^[1-9][0-9]?$/), entry) });

export type RegistryEntry = z.output<typeof entry> & { id: number };

/** Every claimed id, in order. A registry that cannot be read is set aside and rebuilt from the ledgers. */
export async function listClaims(paths: HomePaths): Promise<RegistryEntry[]> {
  return claimsOf((await read(paths)).stacks);
}

/** The claims as the registry has them, with nothing set aside and nothing rebuilt; throws when it cannot be understood. */
export async function lookAtClaims(paths: HomePaths): Promise<RegistryEntry[]> {
  const text = await findText(paths.registry);
  return text === undefined ? [] : claimsOf(schema.parse(JSON.parse(text)).stacks);
}

const claimsOf = (stacks: Stacks): RegistryEntry[] =>
  Object.entries(stacks)
    .map(([id, claim]) => ({ id: Number(id), ...claim }))
    .sort((a, b) => a.id - b.id);

/** Claims an id for a working directory; claiming what one has is fine. AGENT_ID_TAKEN names the holder and a free id. */
export async function claimId(paths: HomePaths, claim: Omit<RegistryEntry, "claimedAt">): Promise<void> {
  const ledger = await findLedger(paths, claim.id);
  await change(paths, (stacks) => {
    const { id, ...facts } = claim;
    refuseOther(claim, stacks, ledger);
    stacks[String(id)] = { ...facts, claimedAt: stacks[String(id)]?.claimedAt ?? new Date().toISOString() };
  });
}

/** Throws AGENT_ID_TAKEN, as claiming would, when an id is another working directory's; claims nothing. */
export async function requireNotOthers(paths: HomePaths, claim: Pick<RegistryEntry, "id" | "workdir">): Promise<void> {
  refuseOther(claim, (await read(paths)).stacks, await findLedger(paths, claim.id));
}

/** A ledger without a claim, which a killed teardown leaves, holds its id as well. */
function refuseOther(
  { id, workdir }: Pick<RegistryEntry, "id" | "workdir">,
  stacks: Stacks,
  ledger: Ledger | undefined,
): void {
  const holder = stacks[String(id)] ?? ledger;
  // Another folder of the same repository too: its files and processes would be left there, known to nobody.
  if (holder === undefined || holder.workdir === workdir) return;
  const free = firstFree(stacks);
  throw new HarnessError("AGENT_ID_TAKEN", `Agent ${id} belongs to ${holder.workdir}.`, {
    hint:
      free === undefined
        ? `Tear one down: agent-harness teardown ${id}`
        : `Use a free id: agent-harness launch ${free}. Or tear that one down: agent-harness teardown ${id}`,
    leftBehind: "nothing",
    context: { id, workdir: holder.workdir, free },
  });
}

/** Gives an id back; one that nobody holds is fine. */
export async function releaseId(paths: HomePaths, id: number): Promise<void> {
  await change(paths, (stacks) => {
    delete stacks[String(id)];
  });
}

type Stacks = z.output<typeof schema>["stacks"];

function firstFree(stacks: Stacks): number | undefined {
  for (let id: number = agentIds.min; id <= agentIds.max; id += 1) if (stacks[String(id)] === undefined) return id;
  return undefined;
}

async function change(paths: HomePaths, edit: (stacks: Stacks) => void): Promise<void> {
  await withLock(paths.registryLock, { doing: "changing the registry" }, async () => {
    const registry = await read(paths);
    edit(registry.stacks);
    await writeFileAtomic(paths.registry, `${JSON.stringify(registry, null, 2)}\n`);
  });
}

async function read(paths: HomePaths): Promise<z.output<typeof schema>> {
  const text = await findText(paths.registry);
  if (text === undefined) return await rebuild(paths);
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    await setAside(paths.registry);
    return await rebuild(paths);
  }
}

/** The ledgers know what the registry knew. */
async function rebuild(paths: HomePaths): Promise<z.output<typeof schema>> {
  const stacks: Stacks = {};
  for (const id of await listStackIds(paths)) {
    const found = await readLedger(paths, id);
    if (found === undefined || "corrupt" in found) continue;
    const { repository, project, workdir, configPath, createdAt } = found.ledger;
    stacks[String(id)] = { repository, project, workdir, configPath, claimedAt: createdAt };
  }
  return { version: 1, stacks };
}

/** The lock that one stack's launch, reset and teardown take turns on. */
export const stackLock = (paths: HomePaths, id: number): string => join(paths.home, "locks", `stack-${id}`);
