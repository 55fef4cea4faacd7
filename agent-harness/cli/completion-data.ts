import { driverNames, serviceIds } from "../infra/index.ts";
import type { Program } from "./main.ts";

/** What completion knows of a command. */
export interface CompletionCommand {
  /** `infra up` is two. */
  names: string[];
  summary: string;
  /** What its arguments are called, `...` behind one that may be given several times. */
  args: string[];
  /** Flags with their argument, as in `--lines <n>`, and what each means. */
  options: [flags: string, description: string][];
  /** All that stands behind its first argument belongs to a program that it runs. */
  passThrough?: true;
}

/** Everything that completion knows without looking at the machine; lies in templates/completion.json. */
export interface CompletionData {
  /** What may stand for an argument, by its name, or behind an option, by its flag. */
  values: Record<string, string[]>;
  programs: { name: string; options: [flags: string, description: string][]; commands: CompletionCommand[] }[];
}

/** The shells that there is a script for. */
export const shells = ["bash", "zsh", "fish"] as const;

/** What completion has to know of programs, out of their commands' definitions. */
export function completionData(programs: readonly Program[]): CompletionData {
  return {
    values: { service: [...serviceIds], "--driver": ["auto", ...driverNames], shell: [...shells] },
    programs: programs.map((program) => ({
      name: program.name,
      options: [
        ...(program.takesConfig ? ([["--config <file>", "the project config to use"]] as [string, string][]) : []),
        ["--help", "what there is"],
        ["--version", "the version"],
      ],
      commands: program.commands
        .filter((one) => !one.hidden)
        .map(({ usage, summary, options = [], ownJson }) => {
          const words = usage.split(" ");
          const names = words.filter((word) => !/^[<[]/.test(word));
          return {
            names: program.commands.length === 1 ? [] : names,
            summary,
            args: words.slice(names.length).map((word) => word.replaceAll(/[<>[\]]/g, "")),
            options: [
              ...options.map(([flags, description]): [string, string] => [flags, description]),
              ...(ownJson ? [] : ([["--json", "print the result as one JSON document"]] as [string, string][])),
            ],
            ...(names.some((name) => program.passThrough?.includes(name)) ? { passThrough: true as const } : {}),
          };
        }),
    })),
  };
}
