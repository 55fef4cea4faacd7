import { dirname, join } from "node:path";
import { type Infra, type InfraPlace, resolveInfra } from "../infra/index.ts";
import { loadConfig } from "../shared/config.ts";
import { applyOverrides, findOverrides, overridesFileName, readOverrides } from "../shared/config-overrides.ts";
import { configSchema } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import { findText } from "../shared/files.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Progress } from "../shared/progress.ts";
import type { Ledger } from "./ledger.ts";
import { requireSameInfra } from "./same-infra.ts";

/** Where the services of a stack are; refused when they are others than those it was launched on. */
export async function stackInfra(
  paths: HomePaths,
  ledger: Ledger,
  env: Readonly<Record<string, string | undefined>>,
  progress: Progress,
): Promise<Infra> {
  return (await stackPlace(paths, ledger, env, progress)).infra;
}

/** Where the infra of a stack is looked for, and what was found there. */
interface StackPlace extends InfraPlace {
  infra: Infra;
}

/** The same with what else it takes to ask the services' driver. */
export async function stackPlace(
  paths: HomePaths,
  ledger: Ledger,
  env: Readonly<Record<string, string | undefined>>,
  progress: Progress,
): Promise<StackPlace> {
  const place = await placeOf(paths, ledger.configPath, env, progress);
  requireSameInfra(ledger, place.infra);
  return place;
}

/** The infra that a stack was made on. */
export const infraOf = async (...given: Parameters<typeof placeOf>): Promise<Infra> => (await placeOf(...given)).infra;

/** A config that was deleted or broken since must not keep its stack alive. */
async function placeOf(
  paths: HomePaths,
  configPath: string,
  env: Readonly<Record<string, string | undefined>>,
  progress: Progress,
): Promise<StackPlace> {
  try {
    const loaded = await loadConfig({ explicit: configPath, env });
    return await findInfra({ paths, config: loaded.config.infra, env: loaded.env });
  } catch (error) {
    if (!(error instanceof HarnessError) || error.kind !== "config") throw error;
    progress({
      type: "note",
      text: `${configPath} cannot be used (${error.message}); taking the infra that the variables name, else this machine's own.`,
    });
    return await infraOfVariables(paths, dirname(configPath), env);
  }
}

/** What `.env.agent-harness` and the shell say of infra by themselves: a stack on a server elsewhere is still found. */
async function infraOfVariables(
  paths: HomePaths,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<StackPlace> {
  const file = readOverrides((await findText(join(folder, overridesFileName))) ?? "");
  const overrides = findOverrides(env, file).filter((one) => one.path[0] === "infra");
  const parsed = configSchema.safeParse(applyOverrides({}, overrides));
  // Variables that are wrong as well count as none; the ledger is compared with what comes out.
  const { infra } = parsed.success ? parsed.data : configSchema.parse({});
  return await findInfra({ paths, config: infra, env: { ...file.values, ...env } });
}

const findInfra = async (place: InfraPlace): Promise<StackPlace> => ({
  ...place,
  infra: await resolveInfra(place.paths, place.config, place.env),
});
