import type { Ledger } from "./ledger.ts";

/** The ledger of a stack that is only about to be made. */
export function emptyLedger(
  facts: Pick<Ledger, "id" | "project" | "repository" | "workdir" | "configPath">,
  createdAt: string = new Date().toISOString(),
): Ledger {
  return {
    version: 1,
    ...facts,
    status: "launching",
    createdAt,
    updatedAt: createdAt,
    ports: {},
    urls: {},
    resources: [],
    processes: [],
  };
}
