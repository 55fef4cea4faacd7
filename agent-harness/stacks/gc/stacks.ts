import { errorText, HarnessError } from "../../shared/errors.ts";
import { lockHolder, withLock } from "../../shared/lock.ts";
import type { HomePaths } from "../../shared/paths.ts";
import { stackLock } from "../registry.ts";
import type { MarkedThing, Search } from "../resource.ts";
import { resources } from "../resources/index.ts";
import { hasUsers } from "../use.ts";
import { asideDays, isOldAside, listStackFolders } from "./folders.ts";
import { attempt, failedItem, type GcItem, type GcThing } from "./items.ts";
import { type Owners, readOwners } from "./owners.ts";

interface Thing extends MarkedThing {
  kind: string;
  /** The search that found it, to be made again under the lock. */
  list: () => Promise<MarkedThing[]>;
}

export interface RemoveOptions {
  paths: HomePaths;
  dryRun: boolean;
}

/** What carries the mark of an agent whose id neither a claim nor a ledger holds; removed, or only named. */
export async function collectStacks(search: Search, options: RemoveOptions): Promise<GcItem[]> {
  const { things, failed } = await findThings(search);
  // Asked after the search: whatever was made before its end had its claim before that.
  const owners = await readOwners(search.paths);
  const orphans = things.filter((one) => !owners.owns(one.id));
  const items: GcItem[] = [];
  for (const id of [...new Set(orphans.map((one) => one.id))].sort((a, b) => a - b)) {
    const own = orphans.filter((one) => one.id === id);
    items.push(...(await collectStack(id, own, options)));
  }
  return [...items, ...failed];
}

/** In the order in which a teardown goes; the folder with the logs comes last. */
async function findThings(search: Search): Promise<{ things: Thing[]; failed: GcItem[] }> {
  const sources = [
    ...[...resources]
      .reverse()
      .map(({ kind, listMarked }) => ({ kind, list: async () => (await listMarked?.(search)) ?? [] })),
    { kind: "stack-folder", list: () => listStackFolders(search.paths) },
  ];
  const found = await Promise.all(
    sources.map(async ({ kind, list }) => {
      const all = await attempt({ kind, name: `every ${kind}` }, list);
      return { things: all.found.map((one) => ({ ...one, kind, list })), failed: all.failed };
    }),
  );
  return { things: found.flatMap((one) => one.things), failed: found.flatMap((one) => one.failed) };
}

/** Removes what was found of one agent, or says that it would; looks again whether there is an owner now. */
export const collectStack = async (
  id: number,
  things: readonly Thing[],
  { paths, dryRun }: RemoveOptions,
): Promise<GcItem[]> => await (dryRun ? wouldCollect : collect)(id, things, paths);

const ownerless = (id: number): string => `agent ${id} has neither a claim nor a ledger`;

/** Only looks: takes no lock, since that leaves a file too. */
async function wouldCollect(id: number, things: readonly Thing[], paths: HomePaths): Promise<GcItem[]> {
  const holder = await lockHolder(stackLock(paths, id));
  if (holder !== undefined) return skipAll(things, busy(holder));
  if (await hasUsers(paths, id)) return skipAll(things, inUse(id));
  const owners = await readOwners(paths);
  return await each(things, async (thing) => {
    const why = whyHeld(owners, id) ?? (await thing.whyKept?.());
    return why === undefined ? { action: "would remove", reason: ownerless(id) } : { action: "kept", reason: why };
  });
}

/** Under the lock that a launch of this id would hold, and after another look whether there has been one. */
async function collect(id: number, things: readonly Thing[], paths: HomePaths): Promise<GcItem[]> {
  let entered = false;
  try {
    return await withLock(stackLock(paths, id), { doing: `gc of what agent ${id} left`, timeoutMs: 0 }, async () => {
      entered = true;
      const owners = await readOwners(paths);
      if (owners.owns(id)) return skipAll(things, `agent ${id} was launched meanwhile`);
      if (await hasUsers(paths, id)) return skipAll(things, inUse(id));
      return await each(await stillThere(id, things), async (thing) => {
        const why = whyHeld(owners, id) ?? (await thing.whyKept?.());
        if (why !== undefined) return { action: "kept", reason: why };
        await thing.remove();
        return { action: "removed", reason: ownerless(id) };
      });
    });
  } catch (error) {
    if (entered || !(error instanceof HarnessError) || error.code !== "LOCK_HELD") throw error;
    return skipAll(things, errorText(error));
  }
}

/** A teardown that ended after the search has taken its things along. */
async function stillThere(id: number, things: readonly Thing[]): Promise<Thing[]> {
  const gone = new Set<Thing>();
  for (const list of new Set(things.map((one) => one.list))) {
    // Where it cannot be asked any more, the removal will say why.
    const now = await list().catch(() => undefined);
    const isThere = (thing: Thing) => now?.some((one) => one.id === id && one.name === thing.name) ?? true;
    for (const thing of things) if (thing.list === list && !isThere(thing)) gone.add(thing);
  }
  return things.filter((one) => !gone.has(one));
}

const inUse = (id: number): string => `a command that runs now works with the stack of agent ${id}`;

const busy = ({ pid, doing }: { pid: number; doing: string }): string => `Process ${pid} is busy with "${doing}".`;

/** Both the claim and the ledger may have become unreadable at once, by a power cut: what could not be read is an owner for a while. */
function whyHeld({ aside }: Owners, id: number): string | undefined {
  const kept = aside.find((one) => one.id === id && !isOldAside(one, Date.now()));
  if (kept === undefined) return undefined;
  return `the ledger of agent ${id} could not be read and is kept as ${kept.path}, for ${asideDays} days; agent-harness launch ${id} takes all of it on`;
}

async function each(
  things: readonly Thing[],
  run: (thing: Thing) => Promise<Pick<GcItem, "action" | "reason">>,
): Promise<GcItem[]> {
  const items: GcItem[] = [];
  for (const thing of things) {
    const what = named(thing);
    // One that cannot be removed is no reason to leave the others.
    items.push(
      await run(thing).then(
        (done): GcItem => ({ ...what, ...done }),
        (error: unknown) => failedItem(what, error),
      ),
    );
  }
  return items;
}

const skipAll = (things: readonly Thing[], reason: string): GcItem[] =>
  things.map((thing) => ({ ...named(thing), action: "skipped", reason }));

const named = ({ kind, name, id }: Thing): GcThing => ({ kind, name, owner: id });
