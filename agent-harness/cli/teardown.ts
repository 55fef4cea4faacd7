import { parseAgentId } from "../shared/names.ts";
import { stacksOf, type TeardownResult, teardown } from "../stacks/index.ts";
import { command } from "./command.ts";
import { allTogether } from "./launch.ts";
import { duration } from "./progress.ts";
import { homeOf } from "./stack-command.ts";

const dryRun = ["--dry-run", "only say what would go"] as const;

export const teardownCommand = command<TeardownResult & { dryRun: boolean }>({
  usage: "teardown <id>",
  summary: "take away everything that the launch of an agent's stack made, and prove that it is gone",
  options: [dryRun],
  run: async ([id], options, context) => {
    const { env, progress } = context;
    const paths = homeOf(context);
    const only = options["dryRun"] === true;
    return { ...(await teardown({ paths, id: parseAgentId(id ?? ""), env, progress, dryRun: only })), dryRun: only };
  },
  text: teardownText,
});

export const teardownAllCommand = command<(TeardownResult & { dryRun: boolean })[]>({
  usage: "teardown-all",
  summary: "take away every stack of this repository",
  options: [dryRun, ["--everywhere", "every stack of this machine, of whatever repository"]],
  run: async (_, options, context) => {
    const { env, progress, cwd } = context;
    const paths = homeOf(context);
    const only = options["dryRun"] === true;
    const stacks = await stacksOf(paths, { cwd, everywhere: options["everywhere"] === true });
    const work = stacks.map(async ({ id }) => ({
      ...(await teardown({ paths, id, env, progress, dryRun: only })),
      dryRun: only,
    }));
    return await allTogether(work, teardownText, context);
  },
  text: (results) => (results.length === 0 ? "There is no stack to tear down.\n" : results.map(teardownText).join("")),
});

function teardownText({ id, removed, ms, dryRun: only }: TeardownResult & { dryRun: boolean }): string {
  if (removed.length === 0) return `Agent ${id} has no stack.\n`;
  const what = removed.map((one) => `  ${one}\n`).join("");
  return only
    ? `Teardown of agent ${id} would remove:\n${what}`
    : `Agent ${id} is torn down (${duration(ms)}):\n${what}`;
}
