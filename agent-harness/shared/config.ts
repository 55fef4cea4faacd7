import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { checkConfig } from "./config-checks.ts";
import { configInvalid, schemaProblems } from "./config-errors.ts";
import { type ConfigRow, explainConfig } from "./config-explain.ts";
import {
  applyOverrides,
  findOverrides,
  type Override,
  overrideProblem,
  overridesFileName,
  readOverrides,
} from "./config-overrides.ts";
import { configSchema, type InfraConfig, type ProjectConfig } from "./config-schema.ts";
import { type ConfigSource, type Finding, type Problem, readSource } from "./config-source.ts";
import { HarnessError } from "./errors.ts";
import { findText } from "./files.ts";
import { slug } from "./names.ts";
import { type InfraPorts, infraPorts } from "./settings.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** What a project config may be called; the first is what `agent-harness init` writes. */
export const configFileNames = ["agent-harness.yml", "agent-harness.yaml"] as const;

export interface FindConfigOptions {
  /** Where to look from, upwards. (Default: the working directory) */
  cwd?: string | undefined;
  /** (Default: the process's environment) */
  env?: Env | undefined;
  /** The value of `--config`: a file, or a folder that holds one. */
  explicit?: string | undefined;
}

/** A project config that is in order. */
export interface LoadedConfig {
  /** The file, absolute. */
  path: string;
  /** The project's folder: the one that the file lies in, absolute. */
  folder: string;
  /** The project's name as it may stand in derived names. */
  name: string;
  config: ProjectConfig;
  /** The process's environment over `.env.agent-harness`: where settings are read from. */
  env: Record<string, string | undefined>;
  /** Every effective value and where it comes from, secrets masked. */
  explain: () => ConfigRow[];
}

/** The absolute path of the project config: `--config`, else AGENT_HARNESS_CONFIG, else upwards from `cwd`. */
export async function findConfig(options: FindConfigOptions = {}): Promise<string> {
  const cwd = resolve(options.cwd ?? process.cwd());
  const env = options.env ?? process.env;
  if (options.explicit !== undefined) return namedConfig(resolve(cwd, options.explicit), "--config");
  const chosen = env["AGENT_HARNESS_CONFIG"];
  if (chosen) return namedConfig(resolve(cwd, chosen), "AGENT_HARNESS_CONFIG");
  for (let folder = cwd; ; folder = dirname(folder)) {
    const found = await configIn(folder);
    if (found !== undefined) return found;
    if (dirname(folder) === folder) break;
  }
  const below = await configsBelow(cwd, 3);
  const choices = below.map((path) => `--config ${relative(cwd, path)}`).join(" or ");
  throw new HarnessError("CONFIG_NOT_FOUND", `There is no ${configFileNames[0]} in ${cwd} or above it.`, {
    hint:
      below.length === 0
        ? "Write one for this repository: agent-harness init"
        : `Name the one you mean: ${choices}. Or write one here: agent-harness init`,
    context: { cwd, below },
  });
}

/** Finds, reads and checks the project config. Throws CONFIG_NOT_FOUND, or CONFIG_INVALID with every problem in it. */
export async function loadConfig(options: FindConfigOptions = {}): Promise<LoadedConfig> {
  const path = await findConfig(options);
  const folder = dirname(path);
  const overridesFile = readOverrides((await findText(join(folder, overridesFileName))) ?? "");
  const own = options.env ?? process.env;
  const env = { ...overridesFile.values, ...definedOnly(own) };
  const source = readSource(basename(path), (await findText(path)) ?? "");
  if (Array.isArray(source)) throw configInvalid(path, [...source, ...overridesFile.problems]);

  const overrides = findOverrides(own, overridesFile);
  const { config, findings } = readValues(source, overrides, env);
  const problems = [
    ...findings.map((finding) => located(finding, source, overrides)),
    ...portVariableProblems(env),
    ...overridesFile.problems,
  ];
  if (config === undefined || problems.length > 0) throw configInvalid(path, problems);
  const name = config.name ?? slug(basename(folder));
  return { path, folder, name, config, env, explain: () => explainConfig({ ...config, name }, source, overrides) };
}

/** The infra settings outside of any project: what the environment's variables say, and every machine's own. */
export function loadMachineInfra(env: Env): InfraConfig {
  const overrides = findOverrides(env, readOverrides("")).filter(({ path }) => path[0] === "infra");
  const values = applyOverrides({}, overrides);
  const parsed = configSchema.safeParse(values);
  if (parsed.success) return parsed.data.infra;
  const problems = schemaProblems(parsed.error, values).map((finding): Problem => {
    const override = findOverride(finding, overrides);
    return override === undefined ? { file: "env", line: undefined, ...finding } : overrideProblem(finding, override);
  });
  throw configInvalid("the environment", problems);
}

interface ReadValues {
  config: ProjectConfig | undefined;
  findings: Finding[];
}

function readValues(source: ConfigSource, overrides: readonly Override[], env: Env): ReadValues {
  const values = applyOverrides(source.values, overrides);
  const parsed = configSchema.safeParse(values);
  if (!parsed.success) return { config: undefined, findings: schemaProblems(parsed.error, values) };
  const config = parsed.data;
  return { config, findings: [...checkConfig(config, ownedPorts(config, env)), ...numberProblems(config, source)] };
}

/** The ports that our own infra listens on; a service that exists elsewhere has none of them. */
function ownedPorts({ infra }: ProjectConfig, env: Env): Partial<InfraPorts> {
  if (portVariableProblems(env).length > 0) return {};
  const { postgres, s3, s3Console, browser, mailWeb, mailSmtp } = infraPorts(env);
  return {
    ...(infra.postgres.url === undefined ? { postgres } : {}),
    ...(infra.s3.url === undefined ? { s3, s3Console } : {}),
    ...(infra.browser.url === undefined ? { browser } : {}),
    ...(infra.mail.smtpUrl === undefined ? { mailWeb, mailSmtp } : {}),
  };
}

function portVariableProblems(env: Env): Problem[] {
  try {
    infraPorts(env);
    return [];
  } catch (error) {
    if (!(error instanceof HarnessError)) throw error;
    return [{ file: "env", line: undefined, path: [], message: error.message }];
  }
}

/** `VERSION: 1.10` is the number 1.1 to YAML; a variable must be the text that was written. */
function numberProblems(config: ProjectConfig, source: ConfigSource): Finding[] {
  const environments = [
    { path: ["env"], env: config.env },
    ...Object.entries(config.processes).map(([name, { env }]) => ({ path: ["processes", name, "env"], env })),
  ];
  return environments.flatMap(({ path, env }) =>
    Object.entries(env).flatMap(([variable, value]) => {
      const written = source.numberText([...path, variable]);
      if (written === undefined || written === String(value)) return [];
      return [{ path: [...path, variable], message: `${written} is read as the number ${value}; put it in quotes` }];
    }),
  );
}

function located(finding: Finding, source: ConfigSource, overrides: readonly Override[]): Problem {
  const override = findOverride(finding, overrides);
  if (override !== undefined) return overrideProblem(finding, override);
  return { file: source.file, line: source.nearLine(finding.path), ...finding };
}

const findOverride = ({ path }: Finding, overrides: readonly Override[]): Override | undefined =>
  overrides.find((one) => one.path.join("\0") === path.join("\0"));

async function namedConfig(path: string, by: string): Promise<string> {
  const kind = await stat(path).catch(() => undefined);
  if (kind?.isFile()) return path;
  const inside = kind?.isDirectory() ? await configIn(path) : undefined;
  if (inside !== undefined) return inside;
  const what = kind?.isDirectory() ? `holds no ${configFileNames[0]}` : "does not exist";
  throw new HarnessError("CONFIG_NOT_FOUND", `${path}, named by ${by}, ${what}.`, {
    hint: `Correct ${by}, or write a project config there: agent-harness init`,
    context: { path },
  });
}

async function configIn(folder: string): Promise<string | undefined> {
  for (const name of configFileNames) {
    const kind = await stat(join(folder, name)).catch(() => undefined);
    if (kind?.isFile()) return join(folder, name);
  }
  return undefined;
}

/** Project configs in the folders below, nearest first; only to help somebody who stands too high up. */
async function configsBelow(folder: string, levels: number): Promise<string[]> {
  const found: string[] = [];
  let folders = [folder];
  for (let level = 0; level < levels; level += 1) {
    // A home or a system folder can hold thousands; a hint is not worth the wait.
    folders = (await Promise.all(folders.map(foldersIn))).flat().slice(0, 500);
    found.push(...(await Promise.all(folders.map(configIn))).filter((path) => path !== undefined));
  }
  return found;
}

async function foldersIn(folder: string): Promise<string[]> {
  // A folder that may not be read holds nothing that could be suggested.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && entry.name !== "node_modules" && !entry.name.startsWith("."))
    .map((entry) => join(folder, entry.name))
    .sort();
}

const definedOnly = (env: Env): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
