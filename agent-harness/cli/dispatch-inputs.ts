import type { GivenInput, GivenInputs, InputName } from "../sessions/index.ts";
import type { Options } from "./command.ts";

/*
 * What `dispatch` can be given: each input by its flag, else by its environment variable. The variables are seed 001's; ours
 * besides begin with HARNESS_. Data only, so that help needs nothing of sessions/ to be loaded.
 */

type Row = readonly [flag: string, variable: string, about: string];

/** The inputs that are a word or a number. */
export const inputs: Readonly<Record<Exclude<InputName, "webhook" | "timeouts"> | "baseUrl", Row>> = {
  provider: ["--provider <name>", "PROVIDER", "claude-code, codex, opencode or pi"],
  task: ["--task <text>", "TASK", "what each agent is to do; - reads it from stdin"],
  cwd: ["--cwd <folder>", "PROJECT_CWD", "the directory that they work in; this one without it"],
  baseUrl: ["--base-url <url>", "HARNESS_BASE_URL", "where the API is (http://127.0.0.1:7070/api/v1)"],
  project: ["--project <name>", "PROJECT_NAME", "the project; named after the directory without it"],
  model: ["--model <name>", "MODEL", "the model, as the provider names it"],
  subscription: ["--subscription <id>", "SUBSCRIPTION", "the credential profile"],
  parallel: ["--parallel <n>", "PARALLEL_COUNT", "how many agents get the task (1)"],
  completion: ["--completion <mode>", "COMPLETION_MODE", "all: every agent is to succeed (usual); any: the first one"],
  runIn: ["--run-in <way>", "HARNESS_RUN_IN", "tmux or headless; as `serve` is set without it (tmux)"],
  stack: ["--stack <id>", "HARNESS_STACK", "the launched stack in whose directory and env they run"],
  permissions: [
    "--permissions <what>",
    "HARNESS_PERMISSIONS",
    "what they may do without asking: ask, edits, all (ask); pi asks nothing",
  ],
  runId: ["--run-id <id>", "HARNESS_RUN_ID", "go on with the run of this id instead of starting the task again"],
};

/** The limits; TIMEOUTS has them in ms. */
export const limits: Readonly<Record<keyof GivenInputs["limits"], readonly [flag: string, about: string]>> = {
  spawnTimeoutMs: ["--spawn-timeout <time>", "until an agent works; then it is started anew, once (3m)"],
  completionTimeoutMs: ["--completion-timeout <time>", "for the whole run (1h)"],
  idleGraceMs: ["--idle-grace <time>", "from an abort to the deletion (10s)"],
};

/** What is on or off. */
export const switches = [
  ["--webhook", "take webhooks on a free port of loopback, as hints [WEBHOOK_MODE=enabled]"],
  ["--no-webhook", "take none [WEBHOOK_MODE=disabled]"],
  ["--expects-input [text]", "agents that still work when the time is over go on; with a text, they are told it first"],
  ["--ephemeral", "delete the agents of a run that was met, and the project when the run made it"],
  ["--force-cleanup", "delete them whatever came of it, failed ones too"],
] as const;

/** Every flag and what it means. */
export const dispatchOptions: readonly (readonly [string, string])[] = [
  ...Object.values(inputs).map(([flag, variable, about]) => [flag, `${about} [${variable}]`] as const),
  ...Object.entries(limits).map(([key, [flag, about]]) => [flag, `${about} [TIMEOUTS: ${key}]`] as const),
  ...switches,
];

type Env = Readonly<Record<string, string | undefined>>;

/** What was given for each input, and by which name; flags win over variables. */
export function givenInputs(options: Options, env: Env): GivenInputs {
  const one = (name: keyof typeof inputs): GivenInput => {
    const [flag, variable] = inputs[name];
    return { text: textOf(options, flag) ?? (env[variable] || undefined), label: `${wordOf(flag)} (${variable})` };
  };
  const names = Object.keys(inputs) as (keyof typeof inputs)[];
  const words = Object.fromEntries(names.map((name) => [name, one(name)])) as Record<keyof typeof inputs, GivenInput>;
  const times = Object.entries(limits).map(([key, [flag]]) => [
    key,
    { text: textOf(options, flag), label: wordOf(flag) },
  ]);
  const expects = options["expectsInput"];
  return {
    inputs: {
      ...words,
      webhook: { text: webhookOf(options) ?? (env["WEBHOOK_MODE"] || undefined), label: "WEBHOOK_MODE" },
      timeouts: { text: env["TIMEOUTS"] || undefined, label: "TIMEOUTS" },
    },
    limits: Object.fromEntries(times) as GivenInputs["limits"],
    ephemeral: options["ephemeral"] === true,
    forceCleanup: options["forceCleanup"] === true,
    expectsInput: typeof expects === "string" ? expects : expects === true,
  };
}

/** Where the API is, when somebody said it. */
export const givenBaseUrl = (options: Options, env: Env): string | undefined =>
  textOf(options, inputs.baseUrl[0]) ?? (env[inputs.baseUrl[1]] || undefined);

const wordOf = (flag: string): string => flag.replace(/ .*/, "");

/** The value of a flag, by commander's camel-cased name of it. */
function textOf(options: Options, flag: string): string | undefined {
  const name = wordOf(flag)
    .slice(2)
    .replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

function webhookOf({ webhook }: Options): string | undefined {
  if (typeof webhook !== "boolean") return undefined;
  return webhook ? "enabled" : "disabled";
}
