import { driverNames } from "../infra/index.ts";
import { type HomePaths, harnessHome, homePaths } from "../shared/paths.ts";
import { getLedger, type Ledger, openProject, type Project, selectStack, stackInfra } from "../stacks/index.ts";
import type { CommandContext, Options } from "./command.ts";
import { usage } from "./usage.ts";

/** The harness's home that a command works in. */
export const homeOf = (context: Pick<CommandContext, "env">): HomePaths => homePaths(harnessHome(context.env));

/** The stack that a command is about: its ledger, chosen as design says (id, AGENT_ID, folder, only one). */
export async function ledgerOf(given: string | undefined, context: CommandContext): Promise<Ledger> {
  const paths = homeOf(context);
  return await getLedger(paths, await selectStack({ paths, given, env: context.env, cwd: context.cwd }));
}

/** Where the services of a stack are. */
export const infraOfStack = (ledger: Ledger, context: CommandContext) =>
  stackInfra(homeOf(context), ledger, context.env, context.progress);

/** The project that a command stands in. */
export const openProjectOf = ({ cwd, config, env }: CommandContext): Promise<Project> =>
  openProject({ cwd, config, env });

/** For the commands that start infra. */
export const driverOption = [
  "--driver <name>",
  "compose, embedded or auto, instead of the config's infra.driver",
] as const;

const drivers: readonly string[] = ["auto", ...driverNames];

/** `--driver` as the variable that means the same; it also reaches what runs behind the command. */
export function withDriver(context: CommandContext, options: Options): CommandContext {
  const { driver } = options;
  if (driver === undefined) return context;
  if (!drivers.includes(String(driver))) {
    throw usage(`There is no driver ${JSON.stringify(driver)}.`, `Use one of: ${drivers.join(", ")}`);
  }
  return { ...context, env: { ...context.env, AGENT_HARNESS_INFRA_DRIVER: String(driver) } };
}
