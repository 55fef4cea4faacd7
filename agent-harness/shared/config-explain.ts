import { formatPath } from "./config-errors.ts";
import { type Override, overridesFileName } from "./config-overrides.ts";
import type { ProjectConfig } from "./config-schema.ts";
import type { ConfigPath, ConfigSource } from "./config-source.ts";

/** One value of the effective config and where it comes from; secrets are masked already. */
export interface ConfigRow {
  key: string;
  value: unknown;
  /** `default`, `agent-harness.yml:12`, `.env.agent-harness:3 (AGENT_…)` or `env AGENT_…`. */
  source: string;
}

const mask = "••••";

/** Every value of the effective config, in the order of the schema. */
export function explainConfig(
  config: ProjectConfig & { name: string },
  source: ConfigSource,
  overrides: readonly Override[],
): ConfigRow[] {
  const { name, ...rest } = config;
  return leaves([], { name, ...rest }).map(([path, value]) => ({
    key: formatPath(path),
    value: masked(path, value),
    source: sourceOf(path, source, overrides),
  }));
}

function sourceOf(path: ConfigPath, source: ConfigSource, overrides: readonly Override[]): string {
  const key = formatPath(path);
  const override = overrides.find((candidate) => formatPath(candidate.path) === key);
  if (override !== undefined) {
    const { line, variable } = override;
    return line === undefined ? `env ${variable}` : `${overridesFileName}:${line} (${variable})`;
  }
  const line = source.findLine(path);
  return line === undefined ? "default" : `${source.file}:${line}`;
}

/** Single values, and lists of single values, which read better in one piece. */
function leaves(path: ConfigPath, value: unknown): [ConfigPath, unknown][] {
  if (value === undefined) return [];
  if (typeof value !== "object" || value === null) return [[path, value]];
  const whole = Array.isArray(value)
    ? value.every((item) => typeof item !== "object" || item === null)
    : Object.keys(value).length === 0;
  if (whole) return [[path, value]];
  return Array.isArray(value)
    ? value.flatMap((item, index) => leaves([...path, index], item))
    : Object.entries(value).flatMap(([key, item]) => leaves([...path, key], item));
}

/** A value as it may be shown: passwords inside URLs and everything whose name speaks of a secret are replaced. */
function masked(path: ConfigPath, value: unknown): unknown {
  const key = String(path.at(-1) ?? "");
  const inEnv = path.at(-2) === "env";
  if (key === "secretKey" || (inEnv && /SECRET|PASSWORD|TOKEN|KEY/i.test(key))) return value === null ? null : mask;
  if (Array.isArray(value)) return value.map((item) => masked(path, item));
  return typeof value === "string" ? maskUrls(value) : value;
}

/** Up to the last @ of a word: a password may hold a slash or an @ that its URL did not escape. */
const maskUrls = (text: string): string =>
  text
    .replaceAll(/(\w:\/\/[^\s:/@]*):\S+@/g, `$1:${mask}@`)
    .replaceAll(/([?&](?:\w*password|\w*secret|\w*token)=)[^&\s]+/gi, `$1${mask}`);
