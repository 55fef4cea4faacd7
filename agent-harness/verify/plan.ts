import { resolve } from "node:path";
import type { ProjectConfig, VerifyCommandConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import { commandWords } from "../shared/words.ts";

/** One command with everything filled in. */
export type PlannedCommand =
  | {
      type: "run";
      label: string;
      argv: string[];
      /** Absolute. */
      cwd: string;
      /** Append the files changed since a git ref that match; without any, leave the command out. */
      changed?: { globs: string[]; since: string };
    }
  | { type: "http"; label: string; url: string };

export interface PlannedStage {
  name: string;
  /** Runs only with --full, or when it is asked for by name. */
  full: boolean;
  /** 0 is no limit. */
  timeoutMs: number;
  /** Wants a permit of the machine before it runs. */
  heavy: boolean;
  /** Globs, from the working directory; without them the result is never cached. */
  inputs?: string[];
  commands: PlannedCommand[];
}

/** All that verify needs to know: it reads no config and asks no stack. */
export interface VerifyPlan {
  workdir: string;
  /** The whole environment of the commands; nothing is inherited. */
  env: Record<string, string>;
  cacheFolder: string;
  logFolder: string;
  stages: PlannedStage[];
  /** How many heavy stages may run on this machine at the same time, and the folder in which all runs agree on it. */
  permits?: { folder: string; count: number; doing: string };
}

/**
 * The stages of the project config, ready to run. `fill` resolves `{{…}}` in one word, after the line was split, so
 * that a value with blanks stays one word. Throws CONFIG_INVALID for a line that cannot be split or a name used twice.
 */
export function planStages(
  config: ProjectConfig["verify"],
  fill: (text: string) => string,
  workdir: string,
): PlannedStage[] {
  const names = new Set<string>();
  return config.stages.map((stage) => {
    if (names.has(stage.name)) {
      throw new HarnessError("CONFIG_INVALID", `Two stages of verify are called ${stage.name}.`, {
        hint: "Give each stage under verify.stages in agent-harness.yml a name of its own.",
      });
    }
    names.add(stage.name);
    return {
      name: stage.name,
      full: stage.full,
      timeoutMs: stage.timeoutMs,
      heavy: stage.heavy ?? stage.commands.some((one) => typeof one !== "object" || !("http" in one)),
      ...(stage.inputs === undefined ? {} : { inputs: stage.inputs.map(fill) }),
      commands: stage.commands.map((command) => planCommand(command, fill, workdir)),
    };
  });
}

function planCommand(config: VerifyCommandConfig, fill: (text: string) => string, workdir: string): PlannedCommand {
  if (typeof config === "string" || Array.isArray(config)) {
    const argv = commandWords(config).map(fill);
    return { type: "run", label: argv.join(" "), argv, cwd: resolve(workdir) };
  }
  if ("http" in config) {
    const url = fill(config.http);
    return { type: "http", label: config.name ?? `GET ${url}`, url };
  }
  const argv = commandWords(config.run).map(fill);
  return {
    type: "run",
    label: config.name ?? argv.join(" "),
    argv,
    cwd: resolve(workdir, fill(config.cwd)),
    ...(config.changed === undefined
      ? {}
      : { changed: { globs: config.changed.map(fill), since: config.since ?? "HEAD" } }),
  };
}
