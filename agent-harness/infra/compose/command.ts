import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";
import { z } from "zod";
import { errorText, HarnessError } from "../../shared/errors.ts";
import { type HomePaths, templatePath } from "../../shared/paths.ts";
import { type RunResult, runCommand } from "../../shared/run-command.ts";
import type { Endpoint } from "./endpoint.ts";

const exec = promisify(execFile);
type Env = Readonly<Record<string, string | undefined>>;

/** The first version with all that is used here: `up --wait --wait-timeout`, `ps --format json`, `network_mode` by variable. */
const oldestVersion = [2, 17];

/** A compose command that was found: the plugin (`docker compose`) or the program by itself (`docker-compose`). */
export interface ComposeCommand {
  argv: readonly string[];
  version: string;
}

/** Finds compose, the plugin first. COMPOSE_MISSING when there is none, or only one that is too old. */
export async function findCompose(env: Env): Promise<ComposeCommand> {
  const found: ComposeCommand[] = [];
  for (const argv of [["docker", "compose"], ["docker-compose"]]) {
    const version = await versionOf(argv, env);
    if (version === undefined) continue;
    if (isNewEnough(version)) return { argv, version };
    found.push({ argv, version });
  }
  const what =
    found.length === 0
      ? "Neither `docker compose` nor `docker-compose` works here."
      : `${found.map((one) => `${one.argv.join(" ")} is ${one.version}`).join(", ")}: ${oldestVersion.join(".")} is the oldest that will do.`;
  throw new HarnessError("COMPOSE_MISSING", what, {
    hint: "Install the compose plugin (Docker's packages for Debian and Ubuntu: apt-get install docker-compose-plugin; others: https://docs.docker.com/compose/install), or set infra.driver to embedded.",
  });
}

async function versionOf(argv: readonly string[], env: Env): Promise<string | undefined> {
  const [program = "", ...first] = argv;
  try {
    const { stdout } = await exec(program, [...first, "version", "--short"], {
      env: definedOnly(env),
      timeout: 20_000,
    });
    // One built by hand may have a word in its place.
    return /\d+\.\d+[.\d]*/.exec(stdout)?.[0] ?? stdout.trim();
  } catch {
    // Not there, or a docker command without the plugin: both mean to look further.
    return undefined;
  }
}

/** Whether a version is one that all calls here work with. */
export function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = oldestVersion;
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** What every call of compose needs to know. */
export interface ComposeProject {
  command: ComposeCommand;
  name: string;
  endpoint: Endpoint;
  paths: HomePaths;
  /** The variables that the compose file reads. */
  variables: Readonly<Record<string, string>>;
  /** The machine's environment, for PATH and the like. */
  env: Env;
}

/** Runs compose on our file and gives its exit code and last lines; the signal ends it and all that it started. */
export async function runCompose(
  project: ComposeProject,
  args: readonly string[],
  options: { signal?: AbortSignal; timeoutMs: number },
): Promise<RunResult> {
  const argv = [...project.command.argv, ...projectArgs(project), ...args];
  const cwd = await ensureFolder(project);
  return await runCommand(argv, { cwd, env: composeEnv(project), ...options });
}

/** Runs a compose command that prints JSON, and reads what it printed. */
export async function askCompose(project: ComposeProject, args: readonly string[]): Promise<unknown[]> {
  const [program = "", ...first] = project.command.argv;
  const options = { cwd: await ensureFolder(project), env: composeEnv(project), timeout: 60_000 };
  try {
    return readJsonOutput((await exec(program, [...first, ...projectArgs(project), ...args], options)).stdout);
  } catch (error) {
    const said = z.object({ stderr: z.string().trim().min(1) }).safeParse(error).data?.stderr ?? errorText(error);
    throw new HarnessError("INFRA_DOWN", `docker compose ${args[0]} failed: ${said}`, {
      hint: "Mend what it says, then run the same command again.",
      cause: error,
    });
  }
}

/** Compose prints one array, or since 2.21 one document a line: the documents, either way. Warnings may come first. */
export function readJsonOutput(text: string): unknown[] {
  const lines = text.split("\n").map((line) => line.trim());
  const array = lines.findIndex((line) => line.startsWith("[{") || line === "[" || line === "[]");
  if (array >= 0) return JSON.parse(lines.slice(array).join("\n")) as unknown[];
  return lines.filter((line) => line.startsWith("{")).map((line): unknown => JSON.parse(line));
}

/** Where compose stands. Made by the first command that runs: that it is there says that the driver was used. */
async function ensureFolder({ paths }: ComposeProject): Promise<string> {
  await mkdir(paths.compose, { recursive: true, mode: 0o700 });
  return paths.compose;
}

const projectArgs = ({ name, paths }: ComposeProject): string[] => [
  "--project-name",
  name,
  // Not the folder of the file: a `.env` beside it, or in the folder that we stand in, is none of ours.
  "--project-directory",
  paths.compose,
  "--file",
  templatePath("docker-compose.agent.yml"),
];

/** What of the machine's environment the docker command needs; COMPOSE_* of a person's own project would mislead it. */
const inherited = ["PATH", "HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

function composeEnv({ endpoint, variables, env }: ComposeProject): Record<string, string> {
  const machine = Object.fromEntries(inherited.map((key) => [key, env[key]]));
  const tls =
    endpoint.certFolder === undefined ? {} : { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: endpoint.certFolder };
  return { ...definedOnly(machine), ...tls, DOCKER_HOST: endpoint.host, ...variables };
}

const definedOnly = (env: Env): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
