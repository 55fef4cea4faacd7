import { HarnessError } from "../shared/errors.ts";
import { parseAgentId } from "../shared/names.ts";
import { type HomePaths, isWithin } from "../shared/paths.ts";
import { findRepository } from "./project.ts";
import { listClaims, type RegistryEntry } from "./registry.ts";

export interface SelectOptions {
  paths: HomePaths;
  /** The id on the command line. */
  given?: string | number | undefined;
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** Where several stacks share one working directory, take the first instead of asking: right for what only looks at the code. */
  sharedIsFine?: boolean;
}

/**
 * Which stack a command means: the id given, else AGENT_ID, else the stack whose working directory holds this one, else
 * the only stack of this repository. STACK_AMBIGUOUS and STACK_NOT_FOUND name the choices.
 */
export async function selectStack(options: SelectOptions): Promise<number> {
  const env = options.env ?? process.env;
  if (options.given !== undefined) return parseAgentId(options.given);
  if (env["AGENT_ID"]) return parseAgentId(env["AGENT_ID"]);
  const cwd = options.cwd ?? process.cwd();
  const all = await listClaims(options.paths);
  const holding = deepest(all.filter((one) => isWithin(one.workdir, cwd)));
  const candidates = holding.length > 0 ? holding : await ofRepository(all, cwd);
  const [first, second] = candidates;
  if (first === undefined) {
    throw new HarnessError("STACK_NOT_FOUND", `No stack belongs to ${cwd}.`, {
      hint: all.length === 0 ? "Run: agent-harness launch 1" : `Give an id: ${all.map((one) => one.id).join(", ")}.`,
    });
  }
  const oneFolder = candidates.every((one) => one.workdir === first.workdir);
  if (second === undefined || (options.sharedIsFine === true && oneFolder)) return first.id;
  throw new HarnessError(
    "STACK_AMBIGUOUS",
    `Several stacks belong to ${cwd}: ${candidates.map((one) => one.id).join(", ")}.`,
    {
      hint: "Give the id, or set AGENT_ID.",
    },
  );
}

/** The stacks of the repository around a folder; all of the machine's with `everywhere`. */
export async function stacksOf(
  paths: HomePaths,
  options: { cwd?: string; everywhere?: boolean },
): Promise<RegistryEntry[]> {
  return (await stacksFilter(options))(await listClaims(paths));
}

/** The same choice for who looks again and again. */
export async function stacksFilter(options: {
  cwd?: string;
  everywhere?: boolean;
}): Promise<(all: readonly RegistryEntry[]) => RegistryEntry[]> {
  if (options.everywhere) return (all) => [...all];
  const cwd = options.cwd ?? process.cwd();
  const repository = await findRepository(cwd);
  return (all) =>
    all.filter((one) => (repository === undefined ? isWithin(one.workdir, cwd) : one.repository === repository));
}

const ofRepository = async (all: readonly RegistryEntry[], cwd: string): Promise<RegistryEntry[]> =>
  (await stacksFilter({ cwd }))(all);

/** Of folders that lie in each other (a worktree inside its repository), those nearest to where we stand. */
function deepest(holding: readonly RegistryEntry[]): RegistryEntry[] {
  const length = Math.max(...holding.map((one) => one.workdir.length));
  return holding.filter((one) => one.workdir.length === length);
}
