import type { ConfigPath, Finding, Problem } from "./config-source.ts";
import { parseEnv } from "./env-file.ts";
import { suggest } from "./nearest.ts";
import { infraPortVariables, memoryReserveVariable, verifyPermitsVariable } from "./settings.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** The file beside the project config whose variables stand in for those of the process's environment. */
export const overridesFileName = ".env.agent-harness";

const text = (value: string): unknown => value;
/** What is no number stays text, so that the schema says what is wrong with it. */
const number = (value: string): unknown => (/^[0-9]+$/.test(value) ? Number(value) : value);

/** Every variable that overrides a key of the project config. */
const overrideVariables: Readonly<Record<string, { path: ConfigPath; parse: (value: string) => unknown }>> = {
  AGENT_HARNESS_INFRA_DRIVER: { path: ["infra", "driver"], parse: text },
  AGENT_HARNESS_POSTGRES_URL: { path: ["infra", "postgres", "url"], parse: text },
  AGENT_HARNESS_POSTGRES_DURABILITY: { path: ["infra", "postgres", "durability"], parse: text },
  AGENT_HARNESS_S3_URL: { path: ["infra", "s3", "url"], parse: text },
  AGENT_HARNESS_S3_ACCESS_KEY: { path: ["infra", "s3", "accessKey"], parse: text },
  AGENT_HARNESS_S3_SECRET_KEY: { path: ["infra", "s3", "secretKey"], parse: text },
  AGENT_HARNESS_BROWSER_URL: { path: ["infra", "browser", "url"], parse: text },
  AGENT_HARNESS_MAIL_SMTP_URL: { path: ["infra", "mail", "smtpUrl"], parse: text },
  AGENT_HARNESS_MAIL_WEB_URL: { path: ["infra", "mail", "webUrl"], parse: text },
  AGENT_HARNESS_POOL: { path: ["database", "pool"], parse: number },
  AGENT_HARNESS_CLONE_STRATEGY: { path: ["database", "strategy"], parse: text },
  AGENT_HARNESS_SETTLE_MS: { path: ["settleMs"], parse: number },
};

/** Variables that something reads without their being a key of the project config. */
const otherVariables = [
  "AGENT_HARNESS_CHROMIUM",
  verifyPermitsVariable,
  memoryReserveVariable,
  "AGENT_DB_IMAGE",
  "AGENT_MINIO_IMAGE",
  "AGENT_BROWSER_IMAGE",
  "AGENT_MAIL_IMAGE",
  "AGENT_COMPOSE_PROJECT",
  "DOCKER_HOST",
  "DOCKER_CONTEXT",
  ...Object.values(infraPortVariables).map(({ variable }) => variable),
];

/** One key of the project config that a variable gave, and where the variable stands. */
export interface Override {
  path: ConfigPath;
  value: unknown;
  variable: string;
  /** Undefined when it came from the process's own environment. */
  line: number | undefined;
}

/** The overrides file as read. */
export interface OverridesFile {
  values: Record<string, string>;
  /** Line of each variable, counted from 1. */
  lines: Map<string, number>;
  problems: Problem[];
}

/** Reads the text of `.env.agent-harness`; a variable that nothing would read is a problem, with the nearest known. */
export function readOverrides(fileText: string): OverridesFile {
  const values = parseEnv(fileText);
  const lines = new Map(Object.keys(values).map((variable) => [variable, lineOf(fileText, variable)]));
  const known = [...Object.keys(overrideVariables), ...otherVariables];
  const problems = Object.keys(values)
    .filter((variable) => !known.includes(variable))
    .map((variable) => ({
      file: overridesFileName,
      line: lines.get(variable),
      path: [],
      message: `nothing reads \`${variable}\`${suggest(variable, known, "known")}`,
    }));
  return { values, lines, problems: [...problems, ...strayLines(fileText, values)] };
}

/** Lines that dotenv passes over in silence, such as `AGENT_HARNESS_POOL 3`. */
function strayLines(fileText: string, values: Record<string, string>): Problem[] {
  // Inside a value of several lines anything may stand.
  if (Object.values(values).some((value) => value.includes("\n"))) return [];
  return fileText.split(/\r\n|\r|\n/).flatMap((line, index) => {
    if (/^\s*(?:#|$)/.test(line) || /^\s*(?:export\s+)?[\w.-]+(?:\s*=|:\s)/.test(line)) return [];
    return [{ file: overridesFileName, line: index + 1, path: [], message: "is no `KEY=value` line" }];
  });
}

/** The overrides in force: a variable of the process wins over the same one in the file, and an empty one is none. */
export function findOverrides(env: Env, file: OverridesFile): Override[] {
  return Object.entries(overrideVariables).flatMap(([variable, { path, parse }]) => {
    const own = env[variable];
    const value = own || file.values[variable];
    if (!value) return [];
    return [{ path, value: parse(value), variable, line: own ? undefined : file.lines.get(variable) }];
  });
}

/** A copy of the config's values with the overrides laid over them. */
export function applyOverrides(values: Record<string, unknown>, overrides: readonly Override[]): unknown {
  return overrides.reduce<unknown>((within, { path, value }) => withValue(within, path, value), values);
}

/** The same finding where an override gave the value: the problem lies with the variable, not in the config file. */
export function overrideProblem({ path, message }: Finding, { variable, line }: Override): Problem {
  if (line === undefined) return { file: `env ${variable}`, line, path, message };
  return { file: overridesFileName, line, path, message: `${message} (${variable})` };
}

function withValue(within: unknown, [step, ...rest]: ConfigPath, value: unknown): unknown {
  if (step === undefined) return value;
  // A list or text where a mapping belongs is left for the schema to find.
  if (within !== undefined && within !== null && (typeof within !== "object" || Array.isArray(within))) return within;
  const before: Record<string, unknown> = { ...within };
  return { ...before, [step]: withValue(before[step], rest, value) };
}

/** The last line that begins with the variable: dotenv, too, lets the last one win. */
function lineOf(fileText: string, variable: string): number {
  const lines = fileText.split(/\r\n|\r|\n/);
  const starts = new RegExp(`^\\s*(?:export\\s+)?${variable.replaceAll(".", "\\.")}\\s*[=:]`);
  return lines.findLastIndex((line) => starts.test(line)) + 1;
}
