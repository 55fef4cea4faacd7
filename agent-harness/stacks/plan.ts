import { join, resolve } from "node:path";
import type { Infra } from "../infra/index.ts";
import type { AfterCloneConfig, CommandConfig, ProcessConfig } from "../shared/config-schema.ts";
import { renderEnv } from "../shared/env-file.ts";
import { HarnessError } from "../shared/errors.ts";
import { everyAgentId, processName } from "../shared/names.ts";
import { stackFolder } from "../shared/paths.ts";
import type { ProcessSpec } from "../shared/processes.ts";
import { commandWords, findExecutable } from "../shared/words.ts";
import { layEnv, processEnv, type StackValues, stackEnv, stackPath, stackPorts, stackValues } from "./env.ts";
import type { Project } from "./project.ts";
import { fill } from "./render.ts";

/** The variable that marks every process of a stack, also those that left their tree. */
export const markVariable = "AGENT_HARNESS_MARK";

/** The mark of one stack: this harness and the agent id. */
export const stackMark = (machine: string, id: number): string => `${machine}/agent-${id}`;

/** The agent that a mark of this harness names; undefined for another harness's mark, or none. */
export function idOfMark(machine: string, mark: string): number | undefined {
  return everyAgentId.find((id) => mark === stackMark(machine, id));
}

export interface PlannedProcess {
  /** Its name in the config. */
  name: string;
  spec: ProcessSpec;
  /** The variables in its spec that are its own, not facts of the shell that launched. */
  ownEnv: Record<string, string>;
  aliases: string[];
  dependsOn: string[];
  port?: number;
  health?: { url: string; timeoutMs: number };
}

/** A command's label is its text before it is filled in, to be shown: the words may hold a password by now. */
export type PlannedStep = { type: "sql"; sql: string } | { type: "run"; label: string; argv: string[]; cwd: string };

/** All that a launch will make, worked out before anything is made, so that a wrong config leaves nothing behind. */
export interface StackPlan {
  id: number;
  workdir: string;
  values: StackValues;
  /** What the env file holds. */
  env: Record<string, string>;
  processes: PlannedProcess[];
  afterClone: PlannedStep[];
  /** What makes a new worktree ready to run; its folders are relative to the working directory. */
  install: { label: string; argv: string[]; cwd: string }[];
}

export interface PlanOptions {
  project: Project;
  infra: Infra;
  id: number;
  /** Variables of the command line, on top of the config's. */
  extraEnv?: Readonly<Record<string, string>>;
  /** The programs are not there yet: a new worktree gets them by its install. The plan is made again after that. */
  beforeInstall?: boolean;
}

/** Works out a stack. Throws TEMPLATE_INVALID, EXECUTABLE_NOT_FOUND or ENV_VALUE_UNSUPPORTED for what cannot work. */
export async function planStack({ project, infra, id, extraEnv, beforeInstall }: PlanOptions): Promise<StackPlan> {
  const { config, folder } = project;
  const ports = stackPorts(config.ports, id);
  const values = stackValues({ id, project: project.name, workdir: folder, ports, infra });
  const env = stackEnv(values, config.env, extraEnv);
  // Written later; refused now, while there is nothing to leave behind.
  renderEnv(env);
  const enabled = Object.entries(config.processes).filter(([, one]) => !one.enabledBy || env[one.enabledBy] === "true");
  const names = new Set(enabled.map(([name]) => name));
  const processes = await Promise.all(
    enabled.map(([name, one]) =>
      planProcess(name, one, { project, infra, id, values, env, names, beforeInstall: beforeInstall ?? false }),
    ),
  );
  const afterClone = config.database.afterClone.map((step, index) =>
    planStep(step, `database.afterClone.${index}`, values, env),
  );
  const install = config.worktree.install.map((step, index) => {
    const { run, cwd } = typeof step === "object" && !Array.isArray(step) ? step : { run: step, cwd: "." };
    return { label: labelOf(run), argv: fillCommand(run, `worktree.install.${index}`, values, env), cwd };
  });
  return { id, workdir: folder, values, env, processes, afterClone, install };
}

const labelOf = (command: CommandConfig): string => (typeof command === "string" ? command : command.join(" "));

interface ProcessContext {
  project: Project;
  infra: Infra;
  id: number;
  values: StackValues;
  env: Record<string, string>;
  names: ReadonlySet<string>;
  beforeInstall: boolean;
}

async function planProcess(name: string, config: ProcessConfig, context: ProcessContext): Promise<PlannedProcess> {
  const { project, infra, id, values, env } = context;
  const where = `processes.${name}`;
  const cwd = resolve(project.folder, config.cwd);
  const path = stackPath(project.folder, cwd);
  const argv = fillCommand(config.command, `${where}.command`, values, env);
  const own = layEnv(env, config.env, values, `${where}.env`);
  const ownEnv = { ...own, [markVariable]: stackMark(infra.machine, id) };
  const port = config.port === undefined ? undefined : values.ports[config.port];
  return {
    name,
    aliases: config.aliases,
    dependsOn: config.dependsOn.filter((other) => context.names.has(other)),
    ...(port === undefined ? {} : { port }),
    ...(config.health === undefined || port === undefined
      ? {}
      : { health: { url: `http://localhost:${port}${config.health.path}`, timeoutMs: config.health.timeoutMs } }),
    ownEnv,
    spec: {
      name: processName(id, name),
      script: context.beforeInstall ? (argv[0] ?? "") : await getExecutable(argv[0] ?? "", { cwd, path, where }),
      args: argv.slice(1),
      cwd,
      env: processEnv(ownEnv, path),
      logFile: join(stackFolder(id, project.paths.home), "logs", `${name}.log`),
      timedLog: true,
    },
  };
}

/** The words of a command, each filled in by itself: a value with blanks stays one argument. */
export function fillCommand(
  command: CommandConfig,
  where: string,
  values: StackValues,
  env: Record<string, string>,
): string[] {
  return commandWords(command).map((word) => fill(word, { ...values, env }, where));
}

function planStep(
  step: AfterCloneConfig,
  where: string,
  values: StackValues,
  env: Record<string, string>,
): PlannedStep {
  if ("sql" in step) return { type: "sql", sql: fill(step.sql, { ...values, env }, where) };
  return {
    type: "run",
    label: labelOf(step.run),
    argv: fillCommand(step.run, where, values, env),
    cwd: resolve(values.workdir, step.cwd),
  };
}

async function getExecutable(name: string, options: { cwd: string; path: string[]; where: string }): Promise<string> {
  // The Node that runs us, wherever PATH points.
  if (name === "node") return process.execPath;
  const found = await findExecutable(name, options);
  if (found !== undefined) return found;
  throw new HarnessError(
    "EXECUTABLE_NOT_FOUND",
    `${options.where}: there is no program "${name}" to run in ${options.cwd}.`,
    {
      hint: "Install the project's dependencies and build it, or correct the command in agent-harness.yml.",
      leftBehind: "nothing",
      context: { program: name },
    },
  );
}
