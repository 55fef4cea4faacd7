import { resolve } from "node:path";
import { asHarnessError } from "../shared/errors.ts";
import { parseAgentId } from "../shared/names.ts";
import { reservedReason } from "../shared/reserved-env.ts";
import { type LaunchResult, launch, openProject, reset, type WorktreeRequest } from "../stacks/index.ts";
import { urlLines } from "./agent/url.ts";
import { type CommandContext, command, type Options } from "./command.ts";
import { errorLines } from "./output.ts";
import { duration } from "./progress.ts";
import { parseCount, parseLength, usage } from "./usage.ts";

const launchOptions = [
  ["--fresh", "build the template database first when the project's files have changed"],
  ["--env <KEY=value...>", "variables on top of the config's, for this launch"],
  ["--wait [duration]", "wait for memory when the stack does not fit, for at most so long (such as 10m)"],
  ["--no-admission", "launch although the stack does not fit into memory"],
] as const;

const lifetimeOptions = [
  ["--ttl <duration>", "tear the stack down when so much time is over (such as 4h, 2d); `none`: never"],
  ["--idle <duration>", "stop its processes when nobody has used it for so long; `none`: never"],
] as const;

const worktreeOptions = [
  ["--worktree [branch]", "run in a git worktree of its own, on a new branch or on the one named"],
  ["--base <ref>", "with --worktree: what a new branch begins at (default: HEAD)"],
  ["--pr <number>", "run in a worktree of this pull request of origin"],
  ["--adopt <path>", "run in a worktree that exists; teardown leaves it"],
] as const;

function worktreeOf(given: Options, cwd: string): WorktreeRequest | undefined {
  const { worktree, base, pr, adopt } = given;
  const asked = [worktree, pr, adopt].filter((one) => one !== undefined).length;
  if (asked > 1) throw usage("--worktree, --pr and --adopt exclude each other.", "Give one of them.");
  if (base !== undefined && worktree === undefined) throw usage("--base belongs to --worktree.", "Add --worktree.");
  if (typeof adopt === "string") return { kind: "adopt", path: resolve(cwd, adopt) };
  if (typeof pr === "string") return { kind: "pr", number: numberOf(pr) };
  if (worktree === undefined) return undefined;
  return {
    kind: "branch",
    ...(typeof worktree === "string" ? { branch: worktree } : {}),
    ...(typeof base === "string" ? { base } : {}),
  };
}

function numberOf(pr: string): number {
  const number = parseCount("--pr", pr, 1);
  if (number === 0) throw usage("--pr wants the number of a pull request, not 0.", "Such as: --pr 7");
  return number;
}

async function options(id: string | undefined, given: Options, context: CommandContext) {
  const number = parseAgentId(id ?? "");
  const extraEnv = parsePairs(given["env"]);
  const { config, cwd, env, progress } = context;
  return {
    project: await openProject({ cwd, config, env }),
    id: number,
    fresh: given["fresh"] === true,
    extraEnv,
    wait: waitOf(given["wait"]),
    admission: given["admission"] !== false,
    lifetime: { ttl: limitOf("--ttl", given["ttl"]), idle: limitOf("--idle", given["idle"]) },
    progress,
  };
}

const limitOf = (flag: string, given: unknown): number | "none" | undefined =>
  given === undefined || given === "none" ? given : parseLength(flag, given);

function waitOf(given: unknown): number | "long" | undefined {
  if (given === undefined) return undefined;
  return given === true ? "long" : parseLength("--wait", given);
}

function parsePairs(given: unknown): Record<string, string> {
  const pairs = (Array.isArray(given) ? given : []).map(String);
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(pair) ?? [];
      if (key === undefined || value === undefined)
        throw usage(`--env wants KEY=value, not "${pair.split("=")[0]}".`, "Such as: --env SCHEDULER_ENABLED=true");
      const reserved = reservedReason(key);
      if (reserved !== undefined) throw usage(`--env cannot set ${key}: it ${reserved}.`, "Choose another name.");
      return [key, value];
    }),
  );
}

export const launchCommand = command<LaunchResult>({
  usage: "launch <id>",
  summary:
    "bring up the stack of an agent (1-99), or repair it; starts infra and builds the template database when missing",
  options: [...launchOptions, ...lifetimeOptions, ...worktreeOptions],
  run: async ([id], given, context) =>
    await launch({ ...(await options(id, given, context)), worktree: worktreeOf(given, context.cwd) }),
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
  options: [...launchOptions, ...lifetimeOptions],
  run: async ([count], given, context) => {
    const n = parseAgentId(count ?? 3);
    const first = await launch(await options("1", given, context));
    // The first one has brought up whatever was missing; the others need not wait for each other.
    const ids = Array.from({ length: n - 1 }, (_, index) => String(index + 2));
    const work = ids.map(async (id) => await launch(await options(id, given, context)));
    return [first, ...(await allTogether(work, launchText, context))];
  },
  text: (results) => results.map(launchText).join("\n"),
});

/**
 * The results of work done together. When some of it failed, what went well and every error but the first are told on
 * stderr after all has ended, and the first is thrown: nothing goes on, or is lost, behind an error message.
 */
export async function allTogether<T>(
  work: readonly Promise<T>[],
  text: (result: T) => string,
  { stderr }: Pick<CommandContext, "stderr">,
): Promise<T[]> {
  const ended = await Promise.allSettled(work);
  const results = ended.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const [first, ...others] = ended.flatMap((one) => (one.status === "rejected" ? [asHarnessError(one.reason)] : []));
  if (first === undefined) return results;
  for (const result of results) stderr(text(result));
  for (const error of others) stderr(errorLines(error));
  throw first;
}
