import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { parseDuration } from "../../shared/duration.ts";
import { HarnessError } from "../../shared/errors.ts";
import { suggest } from "../../shared/nearest.ts";
import { type ProviderName, providerNames, type RunWay, runWays } from "../session.ts";

/* What a dispatch is asked for: each input by its flag, else by its environment variable, which are seed 001's names. */

/** How long things may take. */
export interface Timeouts {
  /** From the creation of an agent to the first sign that it works. */
  spawnTimeoutMs: number;
  /** The whole run. */
  completionTimeoutMs: number;
  /** From an abort to the deletion of what does not come to rest. */
  idleGraceMs: number;
}

export const usualTimeouts: Timeouts = {
  spawnTimeoutMs: 3 * 60_000,
  completionTimeoutMs: 60 * 60_000,
  idleGraceMs: 10_000,
};

const permissionWords = ["ask", "edits", "all"] as const;
const completionModes = ["all", "any"] as const;
const webhookModes = ["enabled", "disabled"] as const;
export type CompletionMode = (typeof completionModes)[number];

/** What a dispatch is to do. */
export interface DispatchRequest {
  cwd: string;
  provider: ProviderName;
  task: string;
  projectName: string | undefined;
  model: string | undefined;
  subscription: string | undefined;
  count: number;
  webhook: boolean;
  completion: CompletionMode;
  timeouts: Timeouts;
  /** A run that was met leaves nothing behind. */
  ephemeral: boolean;
  /** No run leaves anything behind. */
  forceCleanup: boolean;
  /** Agents that still work when the time is over go on. */
  expectsInput: boolean;
  /** And are told this, once. */
  nudge: string | undefined;
  runIn: RunWay | undefined;
  stack: number | undefined;
  permissions: (typeof permissionWords)[number] | undefined;
  /** Part of every key and name: the same run started again finds what it had started. */
  runId: string;
}

/** The inputs that are words or numbers: their flags as people write them, and their environment variables. */
export const dispatchInputs = {
  baseUrl: ["--base-url <url>", "HARNESS_BASE_URL", "where the API is, such as http://127.0.0.1:7070/api/v1"],
  cwd: ["--cwd <folder>", "PROJECT_CWD", "the directory that the agents work in; this one without it"],
  provider: ["--provider <name>", "PROVIDER", providerNames.join(", ")],
  task: ["--task <text>", "TASK", "what each agent is to do; - reads it from stdin"],
  project: ["--project <name>", "PROJECT_NAME", "the project; named after the directory without it"],
  model: ["--model <name>", "MODEL", "the model, as the provider names it"],
  subscription: ["--subscription <id>", "SUBSCRIPTION", "the credential profile"],
  parallel: ["--parallel <n>", "PARALLEL_COUNT", "how many agents get the task (1)"],
  completion: ["--completion <mode>", "COMPLETION_MODE", "`all` waits for every agent, `any` for the first success"],
  runIn: ["--run-in <way>", "HARNESS_RUN_IN", "tmux or headless"],
  stack: ["--stack <id>", "HARNESS_STACK", "the launched stack in whose directory and env they run"],
  permissions: ["--permissions <what>", "HARNESS_PERMISSIONS", "what they may do without asking: ask, edits, all"],
  runId: ["--run-id <id>", "HARNESS_RUN_ID", "take up the run with this id instead of starting the task again"],
} as const;

/** The limits: their flags, and their keys in TIMEOUTS. */
export const timeoutInputs = {
  spawnTimeout: [
    "--spawn-timeout <time>",
    "spawnTimeoutMs",
    "until an agent works; then it is started anew, once (3m)",
  ],
  completionTimeout: ["--completion-timeout <time>", "completionTimeoutMs", "for the whole run (1h)"],
  idleGrace: ["--idle-grace <time>", "idleGraceMs", "from an abort to the deletion (10s)"],
} as const;

type InputName = keyof typeof dispatchInputs;
type Given = Readonly<Record<string, unknown>>;
type Env = Readonly<Record<string, string | undefined>>;

/** What is asked for, by flags (commander's names) over environment variables. Throws USAGE, with every problem in it. */
export function readRequest(flags: Given, env: Env, cwd: string): DispatchRequest {
  const problems: string[] = [];
  const read = (name: InputName): Input => inputOf(name, flags, env, problems);
  const expects = flags["expectsInput"];
  const request: DispatchRequest = {
    cwd: resolve(cwd, read("cwd").text ?? cwd),
    provider: read("provider").required().oneOf(providerNames) ?? "claude-code",
    task: read("task").required().text ?? "",
    projectName: read("project").matching(/^[a-zA-Z0-9_-]{1,64}$/, "1 to 64 letters, digits, _ and -"),
    model: read("model").text,
    subscription: read("subscription").text,
    count: read("parallel").count(1, 50) ?? 1,
    webhook: webhookOf(flags, env, problems),
    completion: read("completion").oneOf(completionModes) ?? "all",
    timeouts: timeoutsOf(flags, env, problems),
    ephemeral: flags["ephemeral"] === true,
    forceCleanup: flags["forceCleanup"] === true,
    expectsInput: expects !== undefined && expects !== false,
    nudge: typeof expects === "string" && expects !== "" ? expects : undefined,
    runIn: read("runIn").oneOf(runWays),
    stack: read("stack").count(1, 99),
    permissions: read("permissions").oneOf(permissionWords),
    runId:
      read("runId").matching(/^[a-z0-9-]{1,16}$/, "1 to 16 small letters, digits and -") ??
      randomBytes(4).toString("hex"),
  };
  if (problems.length === 0) return request;
  throw new HarnessError("USAGE", `The dispatch cannot begin: ${problems.join("; ")}.`, {
    hint: "See: agent-harness dispatch --help",
  });
}

interface Input {
  text: string | undefined;
  required(): Input;
  oneOf<Word extends string>(words: readonly Word[]): Word | undefined;
  matching(pattern: RegExp, what: string): string | undefined;
  count(min: number, max: number): number | undefined;
}

function inputOf(name: InputName, flags: Given, env: Env, problems: string[]): Input {
  const [flag, variable] = dispatchInputs[name];
  const label = `${flag.replace(/ .*/, "")} (${variable})`;
  const given = flags[name];
  const text = typeof given === "string" ? given : env[variable] || undefined;
  const refuse = (why: string): undefined => void problems.push(`${label} ${why}`);
  const input: Input = {
    text,
    required: () => {
      if ((text ?? "").trim() === "") refuse("is missing");
      return input;
    },
    oneOf: (words) => {
      const found = words.find((word) => word === text);
      if (found === undefined && text) refuse(`is ${JSON.stringify(text)}${suggest(text, words)}`);
      return found;
    },
    matching: (pattern, what) =>
      text === undefined || pattern.test(text) ? text : refuse(`is ${what}, not ${JSON.stringify(text)}`),
    count: (min, max) => {
      if (text === undefined) return undefined;
      const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
      return number >= min && number <= max
        ? number
        : refuse(`is a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`);
    },
  };
  return input;
}

function webhookOf(flags: Given, env: Env, problems: string[]): boolean {
  if (typeof flags["webhook"] === "boolean") return flags["webhook"];
  const mode = env["WEBHOOK_MODE"] || "disabled";
  if (!webhookModes.some((one) => one === mode))
    problems.push(`WEBHOOK_MODE is "${mode}"${suggest(mode, webhookModes)}`);
  return mode === "enabled";
}

function timeoutsOf(flags: Given, env: Env, problems: string[]): Timeouts {
  const timeouts = { ...usualTimeouts, ...timeoutsOfEnv(env, problems) };
  for (const [name, [flag, key]] of Object.entries(timeoutInputs)) {
    const given = flags[name];
    if (given === undefined) continue;
    const ms = parseDuration(String(given));
    if (ms === undefined) problems.push(`${flag.replace(/ .*/, "")} is a length of time such as 90s, not "${given}"`);
    else timeouts[key] = ms;
  }
  return timeouts;
}

function timeoutsOfEnv(env: Env, problems: string[]): Partial<Timeouts> {
  const text = env["TIMEOUTS"] || "{}";
  const known = Object.keys(usualTimeouts);
  const entries = entriesOf(text);
  if (entries === undefined) problems.push(`TIMEOUTS is a JSON object with ${known.join(", ")}, not ${text}`);
  for (const [key, value] of entries ?? []) {
    if (!known.includes(key)) problems.push(`TIMEOUTS has ${key}${suggest(key, known)}`);
    else if (!Number.isSafeInteger(value) || Number(value) < 0) problems.push(`TIMEOUTS.${key} is a number of ms`);
  }
  return Object.fromEntries(entries ?? []);
}

function entriesOf(text: string): [string, unknown][] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  } catch {
    // No JSON; the caller says so with the text.
    return undefined;
  }
}
