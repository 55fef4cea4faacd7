import type { Infra } from "../infra/index.ts";
import type { HomePaths } from "../shared/paths.ts";
import { silent } from "../shared/progress.ts";
import { emptyLedger } from "./empty-ledger.ts";
import type { Ledger } from "./ledger.ts";
import { listClaims } from "./registry.ts";
import type { StackContext } from "./resource.ts";
import { resources } from "./resources/index.ts";

export interface RebuildOptions {
  paths: HomePaths;
  infra: Infra;
  id: number;
}

/**
 * The ledger of a stack whose own was lost or cannot be read, from what exists and carries our mark: each resource is
 * asked. Undefined when not even the registry knows where the stack lay.
 */
export async function rebuildLedger({ paths, infra, id }: RebuildOptions): Promise<Ledger | undefined> {
  const claim = (await listClaims(paths)).find((one) => one.id === id);
  if (claim === undefined) return undefined;
  const now = new Date().toISOString();
  const { repository, project, workdir, configPath, claimedAt } = claim;
  const ledger: Ledger = {
    ...emptyLedger({ id, project, repository, workdir, configPath }, claimedAt),
    status: "failed",
    updatedAt: now,
  };
  const context: StackContext = { paths, infra, ledger, progress: silent };
  for (const resource of resources) {
    if ((await resource.exists(context)) !== undefined) {
      const data = (await resource.recall?.(context)) ?? {};
      ledger.resources.push({ kind: resource.kind, state: "created", at: now, data });
    }
  }
  return ledger;
}
