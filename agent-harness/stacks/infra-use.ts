import { configSchema, type InfraConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { openProject, type ProjectOptions } from "./project.ts";
import { listClaims } from "./registry.ts";

/** The infra settings of the project around a folder, or every machine's own where there is no project. */
export async function openInfraConfig(
  options: ProjectOptions & { env: Readonly<Record<string, string | undefined>> },
): Promise<{ config: InfraConfig; env: Readonly<Record<string, string | undefined>> }> {
  try {
    const project = await openProject(options);
    return { config: project.config.infra, env: project.env };
  } catch (error) {
    const none = error instanceof HarnessError && error.code === "CONFIG_NOT_FOUND" && options.config === undefined;
    if (!none) throw error;
    return { config: configSchema.parse({}).infra, env: options.env };
  }
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
