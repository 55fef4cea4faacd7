import { parseAgentId } from "../shared/names.ts";
import { type LaunchResult, launch, openProject, reset } from "../stacks/index.ts";
import { urlLines } from "./agent/url.ts";
import { type CommandContext, command, type Options } from "./command.ts";
import { duration } from "./progress.ts";
import { usage } from "./usage.ts";

const launchOptions = [
  ["--fresh", "build the template database first when the project's files have changed"],
  ["--env <KEY=value...>", "variables on top of the config's, for this launch"],
] as const;

async function options(id: string | undefined, given: Options, context: CommandContext) {
  const number = parseAgentId(id ?? "");
  const extraEnv = parsePairs(given["env"]);
  const { config, cwd, env, progress } = context;
  return {
    project: await openProject({ cwd, config, env }),
    id: number,
    fresh: given["fresh"] === true,
    extraEnv,
    progress,
  };
}

function parsePairs(given: unknown): Record<string, string> {
  const pairs = (Array.isArray(given) ? given : []).map(String);
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(pair) ?? [];
      if (key === undefined || value === undefined)
        throw usage(`--env wants KEY=value, not "${pair.split("=")[0]}".`, "Such as: --env SCHEDULER_ENABLED=true");
      return [key, value];
    }),
  );
}

export const launchCommand = command<LaunchResult>({
  usage: "launch <id>",
  summary:
    "bring up the stack of an agent (1-99), or repair it; starts infra and builds the template database when missing",
  options: launchOptions,
  run: async ([id], given, context) => await launch(await options(id, given, context)),
  text: launchText,
});

export const resetCommand = command<LaunchResult>({
  usage: "reset <id>",
  summary: "give a stack a fresh database, an empty bucket and no mails, and start its processes anew",
  options: launchOptions,
  run: async ([id], given, context) => await reset(await options(id, given, context)),
  text: launchText,
});

function launchText({ ledger, ms }: LaunchResult): string {
  return `Agent ${ledger.id} is ready (${duration(ms)}).\n${urlLines(ledger.urls)}env file  ${ledger.workdir}/.env.agent.${ledger.id}\n`;
}

export const launchAllCommand = command<LaunchResult[]>({
  usage: "launch-all [n]",
  summary: "bring up the stacks of agents 1 to n (3 unless told otherwise), together",
  options: launchOptions,
  run: async ([count], given, context) => {
    const n = parseAgentId(count ?? 3);
    const first = await launch(await options("1", given, context));
    // The first one has brought up whatever was missing; the others need not wait for each other.
    const ids = Array.from({ length: n - 1 }, (_, index) => String(index + 2));
    return [first, ...(await allOrFirstError(ids.map(async (id) => await launch(await options(id, given, context)))))];
  },
  text: (results) => results.map(launchText).join("\n"),
});

/** All results, or the first error after all have ended: nothing goes on behind an error message. */
export async function allOrFirstError<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const ended = await Promise.allSettled(work);
  for (const one of ended) if (one.status === "rejected") throw one.reason;
  return ended.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}
