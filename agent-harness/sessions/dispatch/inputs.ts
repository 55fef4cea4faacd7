import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { parseDuration } from "../../shared/duration.ts";
import { HarnessError } from "../../shared/errors.ts";
import { suggest } from "../../shared/nearest.ts";
import { type ProviderName, providerNames, type RunWay, runWays } from "../session.ts";

/* What a dispatch is asked for. The doors say what was given and where; what it means is decided here. */

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

/** More than that no timer of Node can wait: it would be over at once. */
const mostMs = 2 ** 31 - 1;
const mostText = "24 days";

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
  /** The id was given, so that there may be agents of it already. */
  mayResume: boolean;
}

/** The inputs that are words or numbers. */
export type InputName =
  | "cwd"
  | "provider"
  | "task"
  | "project"
  | "model"
  | "subscription"
  | "parallel"
  | "webhook"
  | "completion"
  | "timeouts"
  | "runIn"
  | "stack"
  | "permissions"
  | "runId";

/** What somebody gave for an input, and what it is called where it was given: `--parallel (PARALLEL_COUNT)`. */
export interface GivenInput {
  text: string | undefined;
  label: string;
}

/** Everything that was given, as the doors got it. */
export interface GivenInputs {
  inputs: Readonly<Record<InputName, GivenInput>>;
  /** The limits that were given one by one; they win over `inputs.timeouts`, which is JSON with all of them. */
  limits: Readonly<Record<keyof Timeouts, GivenInput>>;
  ephemeral: boolean;
  forceCleanup: boolean;
  /** True, or what the agents are told. */
  expectsInput: boolean | string;
}

/** What is asked for, checked; `cwd` is what a relative directory means. Throws USAGE, with every problem in it. */
export function readRequest(given: GivenInputs, cwd: string): DispatchRequest {
  const problems: string[] = [];
  const read = (name: InputName): Input => inputOf(given.inputs[name], problems);
  const { expectsInput, ephemeral, forceCleanup } = given;
  const request: DispatchRequest = {
    cwd: resolve(cwd, read("cwd").text ?? cwd),
    provider: read("provider").required().oneOf(providerNames) ?? "claude-code",
    task: read("task").required().text ?? "",
    projectName: read("project").matching(/^[a-zA-Z0-9_-]{1,64}$/, "1 to 64 letters, digits, _ and -"),
    model: read("model").text,
    subscription: read("subscription").text,
    count: read("parallel").count(1, 50) ?? 1,
    webhook: read("webhook").oneOf(webhookModes) === "enabled",
    completion: read("completion").oneOf(completionModes) ?? "all",
    timeouts: timeoutsOf(given, problems),
    ephemeral,
    forceCleanup,
    expectsInput: expectsInput !== false,
    nudge: typeof expectsInput === "string" && expectsInput !== "" ? expectsInput : undefined,
    runIn: read("runIn").oneOf(runWays),
    stack: read("stack").count(1, 99),
    permissions: read("permissions").oneOf(permissionWords),
    runId: read("runId").matching(/^[a-z0-9-]{1,16}$/, "1 to 16 small letters, digits and -") ?? newRunId(),
    mayResume: given.inputs.runId.text !== undefined,
  };
  if (problems.length === 0) return request;
  throw new HarnessError("USAGE", `The dispatch cannot begin: ${problems.join("; ")}.`, {
    hint: "See: agent-harness dispatch --help",
  });
}

const newRunId = (): string => randomBytes(4).toString("hex");

interface Input {
  text: string | undefined;
  required(): Input;
  oneOf<Word extends string>(words: readonly Word[]): Word | undefined;
  matching(pattern: RegExp, what: string): string | undefined;
  count(min: number, max: number): number | undefined;
}

function inputOf({ text, label }: GivenInput, problems: string[]): Input {
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

function timeoutsOf({ inputs, limits }: GivenInputs, problems: string[]): Timeouts {
  const timeouts = { ...usualTimeouts, ...timeoutsOfJson(inputs.timeouts, problems) };
  for (const [key, { text, label }] of Object.entries(limits)) {
    if (text === undefined) continue;
    const ms = parseDuration(text);
    if (ms === undefined) problems.push(`${label} is a length of time such as 90s, not ${JSON.stringify(text)}`);
    else if (ms > mostMs) problems.push(`${label} is at most ${mostText}, not ${text}`);
    else timeouts[key as keyof Timeouts] = ms;
  }
  return timeouts;
}

function timeoutsOfJson({ text = "{}", label }: GivenInput, problems: string[]): Partial<Timeouts> {
  const known = Object.keys(usualTimeouts);
  const entries = entriesOf(text);
  if (entries === undefined) problems.push(`${label} is a JSON object with ${known.join(", ")}, not ${text}`);
  for (const [key, value] of entries ?? []) {
    if (!known.includes(key)) problems.push(`${label} has ${key}${suggest(key, known)}`);
    else if (!Number.isSafeInteger(value) || Number(value) < 0) problems.push(`${label}: ${key} is a number of ms`);
    else if (Number(value) > mostMs) problems.push(`${label}: ${key} is at most ${mostMs} ms (${mostText})`);
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
