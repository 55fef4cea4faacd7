import { type Infra, type InfraOptions, infraUp, type StackOnInfra } from "../infra/index.ts";
import { loadMachineInfra } from "../shared/config.ts";
import type { InfraConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { findLedger } from "./ledger.ts";
import { openProject, type Project, type ProjectOptions } from "./project.ts";
import { listClaims } from "./registry.ts";
import { driverOf } from "./same-infra.ts";

/** Where a command about the machine stands: the infra settings, and the project around it where there is one. */
export interface OpenPlace {
  config: InfraConfig;
  env: Readonly<Record<string, string | undefined>>;
  project?: Project;
}

/** The infra settings of the project around a folder, or every machine's own where there is no project. */
export async function openInfraConfig(
  options: ProjectOptions & { env: Readonly<Record<string, string | undefined>> },
): Promise<OpenPlace> {
  try {
    const project = await openProject(options);
    return { config: project.config.infra, env: project.env, project };
  } catch (error) {
    const none = error instanceof HarnessError && error.code === "CONFIG_NOT_FOUND" && options.config === undefined;
    if (!none) throw error;
    return { config: loadMachineInfra(options.env), env: options.env };
  }
}

/** Brings infra up and keeps away from what living stacks use. */
export async function startInfra(options: Omit<InfraOptions, "stacks">): Promise<Infra> {
  return await infraUp({ ...options, stacks: await stacksOnInfra(options.paths) });
}

async function stacksOnInfra(paths: HomePaths): Promise<StackOnInfra[]> {
  const stacks = (await listClaims(paths)).map(async ({ id }) => {
    const ledger = await findLedger(paths, id);
    const driver = ledger && driverOf(ledger);
    return { id, ...(driver === undefined ? {} : { driver }) };
  });
  return await Promise.all(stacks);
}

/** Refuses to take infra away from under living stacks. */
export async function requireNoStacks(paths: HomePaths, force: boolean): Promise<void> {
  const alive = await listClaims(paths);
  if (alive.length === 0 || force) return;
  const which = alive.map((one) => `agent ${one.id} of ${one.repository}`).join(", ");
  throw new HarnessError("STACKS_ALIVE", `Stacks are using infra: ${which}.`, {
    hint: "Run first: agent-harness teardown-all --everywhere",
    leftBehind: "everything: nothing was touched",
    context: { ids: alive.map((one) => one.id) },
  });
}
