import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { dropLeftover, type Infra, listLeftovers, maintenanceDatabase, resolveInfra, withSql } from "../infra/index.ts";
import type { InfraConfig } from "../shared/config-schema.ts";
import { findText } from "../shared/files.ts";
import { lockHolder, withLock } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import { admissionLock, listReservations } from "./admission/reservations.ts";
import { isOldAside, listWorktreeTrash, removeAside, removeTrash, trashText } from "./gc/folders.ts";
import { attempt, failedItem, type GcItem, type GcThing } from "./gc/items.ts";
import { type Owners, readOwners } from "./gc/owners.ts";
import { findPlaces } from "./gc/places.ts";
import { collectStacks } from "./gc/stacks.ts";
import { dropUnusedTemplate, findUnusedTemplates, type UnusedTemplate } from "./gc/templates.ts";
import type { Project } from "./project.ts";
import { collectStrays } from "./snapshot/strays.ts";

export interface GcOptions {
  paths: HomePaths;
  /** The infra that is looked at. */
  config: InfraConfig;
  env: Readonly<Record<string, string | undefined>>;
  /** The project that the command stands in, where there is one: files are looked for there too. */
  project?: Project | undefined;
  /** Only say what would go. */
  dryRun?: boolean;
}

/**
 * Removes what carries the mark of this harness and has no owner: no claim in the registry and no ledger. What belongs to a
 * stack that somebody is working on is skipped, what may hold somebody's work is kept, and both are said. STATE_UNREADABLE,
 * and nothing done, when the registry or a ledger cannot be read. Killed in the middle, the next one goes on.
 */
export async function gc(options: GcOptions): Promise<GcItem[]> {
  const { paths, config, env } = options;
  const dryRun = options.dryRun === true;
  const owners = await readOwners(paths);
  // Without an identity there is nothing that could carry our mark, and looking would make one.
  if ((await findText(paths.credentials)) === undefined) return [];
  const infra = await resolveInfra(paths, config, env);
  const run: Run = { ...options, dryRun, infra };
  const { worktreeRoots, ...search } = await findPlaces({ owners, infra, project: options.project });
  const parts = [
    () => collectStacks({ paths, infra, ...search }, { paths, dryRun }),
    () => collectLeftovers(run),
    () => collectStrays(infra, run),
    () => collectTemplates(run),
    () => collectTrash(run, worktreeRoots),
    () => collectAside(run, owners),
  ];
  // Looks do not depend on each other, and a server that does not answer is waited for once, not five times.
  if (dryRun) return (await Promise.all(parts.map((part) => part()))).flat();
  const items: GcItem[] = [];
  for (const part of parts) items.push(...(await part()));
  return items;
}

interface Run extends GcOptions {
  infra: Infra;
  dryRun: boolean;
}

/** Does it, or says that it would; `remove` answers with why it did not, where somebody else was in the way. */
async function removeOne(
  { dryRun }: Run,
  thing: GcThing,
  reason: string,
  remove: () => Promise<string | undefined>,
): Promise<GcItem> {
  if (dryRun) return { ...thing, action: "would remove", reason };
  try {
    const hindrance = await remove();
    return hindrance === undefined
      ? { ...thing, action: "removed", reason }
      : { ...thing, action: "skipped", reason: hindrance };
  } catch (error) {
    return failedItem(thing, error);
  }
}

/** Clones and builds that were never finished, and what waits to be dropped. */
async function collectLeftovers(run: Run): Promise<GcItem[]> {
  const { postgres, machine } = run.infra;
  const { found, failed } = await attempt({ kind: "pool-database", name: "every pool-database" }, () =>
    withSql(postgres, maintenanceDatabase, (sql) => listLeftovers(sql, machine)),
  );
  const items: GcItem[] = [];
  for (const one of found) {
    const { kind, name, reason } = one;
    const drop = () => withSql(postgres, maintenanceDatabase, (sql) => dropLeftover(sql, machine, one));
    const remove = async () => ((await drop()) ? undefined : "somebody is building or cloning at this moment");
    items.push(await removeOne(run, { kind, name }, reason, remove));
  }
  return [...items, ...failed];
}

async function collectTemplates(run: Run): Promise<GcItem[]> {
  const { found, failed } = await attempt({ kind: "template-database", name: "every template-database" }, () =>
    findTemplates(run),
  );
  const items: GcItem[] = [];
  for (const one of found) {
    const thing = { kind: "template-database", name: one.name };
    // No launch begins meanwhile: it would choose this very template database, and then not find it.
    const remove = () =>
      withLock(admissionLock(run.paths), { doing: "gc of template databases" }, () => dropOne(run, one));
    items.push(await removeOne(run, thing, one.reason, remove));
  }
  return [...items, ...failed];
}

const findTemplates = async ({ paths, infra, project, env }: Run): Promise<UnusedTemplate[]> =>
  await findUnusedTemplates({ owners: await readOwners(paths), infra, project, env });

async function dropOne(run: Run, template: UnusedTemplate): Promise<string | undefined> {
  const { paths, infra } = run;
  const worker = await findWorker(paths);
  if (worker !== undefined) return `Process ${worker.pid} is busy with "${worker.doing}", and may clone it.`;
  const stillUnused = (await findTemplates(run)).some((one) => one.name === template.name);
  if (!stillUnused) return "a stack was launched from it meanwhile";
  return (await dropUnusedTemplate(infra, template)) ? undefined : "somebody is building or cloning at this moment";
}

/** Somebody who launches a stack now, or works on one. */
async function findWorker(paths: HomePaths): Promise<{ pid: number; doing: string } | undefined> {
  const [launch] = await listReservations(paths);
  if (launch !== undefined) return { pid: launch.pid, doing: `launch of agent ${launch.id}` };
  const locks = join(paths.home, "locks");
  const names = await readdir(locks).catch(() => []);
  for (const name of names.filter((one) => one.startsWith("stack-"))) {
    const holder = await lockHolder(join(locks, name));
    if (holder !== undefined) return holder;
  }
  return undefined;
}

async function collectTrash(run: Run, roots: readonly string[]): Promise<GcItem[]> {
  const items: GcItem[] = [];
  for (const trash of await listWorktreeTrash(roots)) {
    const thing = { kind: "worktree-trash", name: trash.path };
    items.push(
      await removeOne(run, thing, trashText(trash), async () => await removeTrash(trash).then(() => undefined)),
    );
  }
  return items;
}

async function collectAside(run: Run, { aside }: Owners): Promise<GcItem[]> {
  const items: GcItem[] = [];
  for (const kept of aside.filter((one) => isOldAside(one, Date.now()))) {
    const owner = kept.id === undefined ? {} : { owner: kept.id };
    const thing = { kind: "kept-aside", name: kept.path, ...owner };
    const reason = `it was kept aside on ${new Date(kept.at).toISOString().slice(0, 10)}`;
    items.push(await removeOne(run, thing, reason, async () => await removeAside(kept).then(() => undefined)));
  }
  return items;
}
