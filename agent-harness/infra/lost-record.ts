import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { findMarked } from "../shared/process-tree.ts";
import { infraPorts } from "../shared/settings.ts";
import { findOwn } from "./compose/find-own.ts";
import { wasUsed } from "./compose/last-engine.ts";
import { ensureCredentials } from "./credentials.ts";
import { serviceMark } from "./embedded/strays.ts";
import { type InfraRecord, newRecord } from "./record.ts";

/**
 * What runs though no record tells of it, since that could not be read or was deleted: a record made from what is found,
 * or undefined when nothing runs. An engine that we cannot use runs nothing.
 */
export async function findLostRecord(
  paths: HomePaths,
  env: Readonly<Record<string, string | undefined>>,
): Promise<InfraRecord | undefined> {
  if ((await findMarked(serviceMark, paths.home)).length > 0) return newRecord("embedded", infraPorts(env));
  // Not even asked where compose never started anything.
  if (!(await wasUsed(paths))) return undefined;
  const { machine } = await ensureCredentials(paths);
  const found = await findOwn({ machine }, env).catch((error: unknown) => {
    if (error instanceof HarnessError) return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  return { ...newRecord("compose", found.ports ?? infraPorts(env)), compose: found.compose };
}
