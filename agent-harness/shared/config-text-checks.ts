import { isAbsolute, posix } from "node:path";
import type { AfterCloneConfig, CommandConfig, ProjectConfig, VerifyCommandConfig } from "./config-schema.ts";
import type { ConfigPath, Finding } from "./config-source.ts";
import { HarnessError } from "./errors.ts";
import { commandWords } from "./words.ts";

/** A command and where it stands; `cwd` where it has one of its own. */
interface Placed {
  path: ConfigPath;
  command?: CommandConfig;
  cwd?: string;
}

/** Every command of the config that cannot be split into words. */
export function commandProblems(config: ProjectConfig): Finding[] {
  return placedCommands(config).flatMap(({ path, command }) => {
    if (command === undefined) return [];
    try {
      commandWords(command);
      return [];
    } catch (error) {
      if (!(error instanceof HarnessError)) throw error;
      return [{ path, message: `${error.message}${error.hint === undefined ? "" : ` ${error.hint}`}` }];
    }
  });
}

/** Every folder or file name of the config that leads out of the project's folder. */
export function folderProblems(config: ProjectConfig): Finding[] {
  const named: [ConfigPath, string | undefined][] = [
    [["instructions"], config.instructions],
    ...config.database.inputs.map((glob, index): [ConfigPath, string] => [["database", "inputs", index], glob]),
    ...placedCommands(config).map(({ path, cwd }): [ConfigPath, string | undefined] => [
      [...path.slice(0, -1), "cwd"],
      cwd,
    ]),
  ];
  return named.flatMap(([path, name]) =>
    name === undefined || !leaves(name)
      ? []
      : [{ path, message: `\`${name}\` leads out of the project's folder; give a path below it` }],
  );
}

/** Whether a path is absolute or climbs above the folder that it starts from. */
function leaves(path: string): boolean {
  const plain = posix.normalize(path.replaceAll("\\", "/"));
  return isAbsolute(path) || plain === ".." || plain.startsWith("../");
}

function placedCommands({ processes, database, verify }: ProjectConfig): Placed[] {
  return [
    ...Object.entries(processes).map(([name, process]) => ({
      path: ["processes", name, "command"],
      command: process.command,
      cwd: process.cwd,
    })),
    ...database.build.map((step, index) => placed(["database", "build", index], step)),
    ...database.afterClone.map((step, index) => placed(["database", "afterClone", index], step)),
    ...verify.stages.flatMap((stage, at) =>
      stage.commands.map((step, index) => placed(["verify", "stages", at, "commands", index], step)),
    ),
  ];
}

/** A step that is a command itself, or a mapping with one under `run`, or something without a command. */
function placed(path: ConfigPath, step: CommandConfig | AfterCloneConfig | VerifyCommandConfig): Placed {
  if (typeof step === "string" || Array.isArray(step)) return { path, command: step };
  return "run" in step ? { path: [...path, "run"], command: step.run, cwd: step.cwd } : { path };
}
