import { parseAgentId } from "../shared/names.ts";
import { stacksOf, type TeardownResult, teardown } from "../stacks/index.ts";
import { command, type Options } from "./command.ts";
import { allTogether } from "./launch.ts";
import { duration } from "./progress.ts";
import { homeOf } from "./stack-command.ts";

const dryRun = ["--dry-run", "only say what would go"] as const;
const force = [
  "--force",
  "even though an agent's session works on it, or a worktree holds work that nothing else has; its branch is kept",
] as const;
const deleteBranch = ["--delete-branch", "delete the branch of a worktree too"] as const;

const noSnapshot = ["--no-snapshot", "keep nothing of the data that the stack has written"] as const;

const waysOf = (options: Options) => ({
  dryRun: options["dryRun"] === true,
  force: options["force"] === true,
  deleteBranch: options["deleteBranch"] === true,
  snapshot: options["snapshot"] !== false,
});

export const teardownCommand = command<TeardownResult & { dryRun: boolean }>({
  usage: "teardown <id>",
  summary: "take away everything that the launch of an agent's stack made, and prove that it is gone",
  options: [dryRun, force, deleteBranch, noSnapshot],
  run: async ([id], options, context) => {
    const { env, progress } = context;
    const paths = homeOf(context);
    const how = waysOf(options);
    return { ...(await teardown({ paths, id: parseAgentId(id ?? ""), env, progress, ...how })), dryRun: how.dryRun };
  },
  text: teardownText,
});

export const teardownAllCommand = command<(TeardownResult & { dryRun: boolean })[]>({
  usage: "teardown-all",
  summary: "take away every stack of this repository",
  options: [
    dryRun,
    force,
    deleteBranch,
    noSnapshot,
    ["--everywhere", "every stack of this machine, of whatever repository"],
  ],
  run: async (_, options, context) => {
    const { env, progress, cwd } = context;
    const paths = homeOf(context);
    const how = waysOf(options);
    const stacks = await stacksOf(paths, { cwd, everywhere: options["everywhere"] === true });
    const work = stacks.map(async ({ id }) => ({
      ...(await teardown({ paths, id, env, progress, ...how })),
      dryRun: how.dryRun,
    }));
    return await allTogether(work, teardownText, context);
  },
  text: (results) => (results.length === 0 ? "There is no stack to tear down.\n" : results.map(teardownText).join("")),
});

function teardownText({ id, removed, kept, ms, dryRun: only }: TeardownResult & { dryRun: boolean }): string {
  if (removed.length === 0) return `Agent ${id} has no stack.\n`;
  const what = removed.map((one) => `  ${one}\n`).join("");
  const stays = kept.map((one) => `${only ? "and would keep" : "Kept"}: ${one}\n`).join("");
  return only
    ? `Teardown of agent ${id} would remove:\n${what}${stays}`
    : `Agent ${id} is torn down (${duration(ms)}):\n${what}${stays}`;
}
