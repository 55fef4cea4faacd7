import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { findDatabases, type Infra, maintenanceDatabase, withSql } from "../../infra/index.ts";
import { configSchema } from "../../shared/config-schema.ts";
import { findText } from "../../shared/files.ts";
import { findRepository, type Project } from "../project.ts";
import { entryOf } from "../resource.ts";
import { listStampedWorktrees } from "../worktree/find.ts";
import { worktreeRoot } from "../worktree/request.ts";
import type { Owners } from "./owners.ts";

/** Where files and worktrees of stacks may lie: nothing but what somebody has written down is looked into. */
export interface Places {
  folders: string[];
  repositories: string[];
  /** Folders that worktrees are made in. */
  worktreeRoots: string[];
}

export interface PlacesOptions {
  owners: Owners;
  infra: Infra;
  /** The project that the command stands in. */
  project: Project | undefined;
}

/**
 * Gathers them from the registry, the ledgers (those kept aside too), the marks on databases, the project that the command
 * stands in, and the folders where worktrees are made unless a config says otherwise.
 */
export async function findPlaces({ owners, infra, project }: PlacesOptions): Promise<Places> {
  const written = [...owners.claims, ...owners.ledgers, ...(await readAside(owners)), ...(await readMarks(infra))];
  const worktrees = owners.ledgers.flatMap((ledger) => textOf(entryOf(ledger, "worktree")?.["path"]));
  const standing = project === undefined ? [] : [project.folder, project.repository];
  const roots = new Set([
    worktreeRoot(configSchema.parse({}).worktree),
    ...(project === undefined ? [] : [worktreeRoot(project.config.worktree, project.repository)]),
    ...worktrees.map((path) => dirname(path)),
  ]);
  const made = await findMade([...roots]);
  const repositories = new Set([
    ...written.flatMap((one) => textOf(one.repository)),
    ...(project === undefined ? [] : [project.repository]),
    ...made.flatMap((one) => one.repository ?? []),
  ]);
  const stamped = (await Promise.all([...repositories].map((one) => listStampedWorktrees(one, infra.machine)))).flat();
  for (const { path } of stamped) roots.add(dirname(path));
  const folders = [
    ...written.flatMap((one) => textOf(one.workdir)),
    ...repositories,
    ...standing,
    ...worktrees,
    ...[...made, ...stamped].map((one) => one.path),
  ];
  return { folders: [...new Set(folders)], repositories: [...repositories], worktreeRoots: [...roots] };
}

/** Where something of a stack was, as far as it was written down. */
interface Written {
  workdir?: unknown;
  repository?: unknown;
}

const textOf = (value: unknown): string[] => (typeof value === "string" && value !== "" ? [value] : []);

/** What a ledger that was kept aside still tells: one of another version is no ledger to us, but JSON all the same. */
async function readAside({ aside }: Owners): Promise<Written[]> {
  const all = aside.map(async ({ path }): Promise<Written[]> => {
    try {
      const value: unknown = JSON.parse((await findText(path)) ?? "{}");
      return typeof value === "object" && value !== null ? [value] : [];
    } catch {
      // Half a file: it tells nothing.
      return [];
    }
  });
  return (await Promise.all(all)).flat();
}

/** The marks of databases name the repository, and those of agents the working directory. */
async function readMarks({ postgres, machine }: Infra): Promise<Written[]> {
  try {
    const all = await withSql(postgres, maintenanceDatabase, (sql) => findDatabases(sql, ""));
    const ours = all.flatMap(({ stamp }) => (stamp?.machine === machine ? [stamp] : []));
    return ours.map((stamp) => ({ workdir: stamp["workdir"], repository: stamp["repository"] }));
  } catch {
    // Whoever looks at the databases themselves says that the server is down, or is not ours.
    return [];
  }
}

/** The worktrees that lie where they are made by default, and their repositories: of whichever harness, stamped or not. */
async function findMade(roots: readonly string[]): Promise<{ path: string; repository: string | undefined }[]> {
  const found = roots.map(async (root) => {
    // A root that is not there, or not ours to read, has nothing of ours.
    const names = await readdir(root).catch(() => []);
    const paths = names.filter((name) => /^agent-[1-9][0-9]?$/.test(name)).map((name) => join(root, name));
    return await Promise.all(paths.map(async (path) => ({ path, repository: await findRepository(path) })));
  });
  return (await Promise.all(found)).flat();
}
