import { Command as Commander, CommanderError } from "commander";
import { asHarnessError, errorKinds, type HarnessError } from "../shared/errors.ts";
import { nearest } from "../shared/nearest.ts";
import type { Command } from "./command.ts";
import { execute, type MainOptions, type Streams } from "./execute.ts";
import { errorLines, jsonText } from "./output.ts";
import { usage } from "./usage.ts";

/** A program of ours: its name, its commands (nested by blanks in their usage) and what its help says first. */
export interface Program {
  name: string;
  description: string;
  version: string;
  commands: readonly Command[];
  /** Commands whose words all belong to a program that they run, flags included. */
  passThrough?: readonly string[];
  /** Whether `--config` means something: a stack that is there knows its own. */
  takesConfig?: boolean;
}

/** Runs a program on a command line and returns its exit code. */
export async function main(program: Program, argv: readonly string[], options: MainOptions = {}): Promise<number> {
  const streams = streamsOf(options);
  let exitCode = 0;
  try {
    const commander = build(program, streams, (code) => {
      exitCode = code;
    });
    await commander.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (thrown) {
    // Help or the version, printed because it was asked for (0) or because no command was given.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : errorKinds.usage.exitCode;
    return reportError(thrown, ownWords(program, argv).includes("--json"), options);
  }
}

/** The one place where errors become text, and the exit code of their kind. */
export function reportError(thrown: unknown, json: boolean, options: MainOptions): number {
  const { stdout, stderr } = streamsOf(options);
  const error = asHarnessError(thrown);
  if (json) stdout(jsonText({ error: error.toJSON() }));
  stderr(errorLines(error));
  return errorKinds[error.kind].exitCode;
}

/** The words of a command line that are ours, not those of a program that a command runs. */
function ownWords(program: Program, argv: readonly string[]): readonly string[] {
  const end = argv.findIndex((word) => program.passThrough?.includes(word));
  return end === -1 ? argv : argv.slice(0, end);
}

const streamsOf = (options: MainOptions): Streams => ({
  ...options,
  stdout: options.stdout ?? ((text) => void process.stdout.write(text)),
  stderr: options.stderr ?? ((text) => void process.stderr.write(text)),
});

/** A program as commander knows it; `done` gets the exit code of the command that ran. */
function build(program: Program, streams: Streams, done: (exitCode: number) => void): Commander {
  const root = configure(new Commander(program.name), streams).version(program.version);
  const [only] = program.commands;
  if (only !== undefined && program.commands.length === 1) {
    const words = wordsOf(only.usage);
    for (const argument of words.args) root.argument(argument);
    return define(root, only, streams, done);
  }
  root.description(program.description);
  if (program.takesConfig) root.option("--config <file>", "the project config to use");
  const groups = new Map<string, Commander>();
  for (const definition of program.commands) {
    const { names, args } = wordsOf(definition.usage);
    const parent = names.length === 1 ? root : groupOf(names[0] ?? "", root, groups, streams);
    const hidden = definition.hidden ?? false;
    const added = configure(parent.command([names.at(-1), ...args].join(" "), { hidden }), streams);
    define(added, definition, streams, done);
    if (program.passThrough?.includes(added.name())) {
      root.enablePositionalOptions();
      added.passThroughOptions().allowUnknownOption();
    }
  }
  return root;
}

/** The names of a command, and its arguments, out of its usage. */
function wordsOf(text: string): { names: string[]; args: string[] } {
  const words = text.split(" ");
  const split = words.findIndex((word) => /^[<[]/.test(word));
  return split === -1 ? { names: words, args: [] } : { names: words.slice(0, split), args: words.slice(split) };
}

function groupOf(name: string, root: Commander, groups: Map<string, Commander>, streams: Streams): Commander {
  const known = groups.get(name);
  if (known !== undefined) return known;
  const group = configure(root.command(name), streams).description(`commands about ${name}`);
  groups.set(name, group);
  return group;
}

/** Gives a commander what the definition says: its text, its options and what it does. */
function define(one: Commander, definition: Command, streams: Streams, done: (exitCode: number) => void): Commander {
  one.description(definition.summary);
  for (const [flags, description] of definition.options ?? []) one.option(flags, description);
  if (!definition.ownJson) one.option("--json", "print the result as one JSON document");
  return one.action(async () => {
    const all = one.optsWithGlobals<Record<string, unknown>>();
    done(await execute(definition, one.processedArgs as (string | undefined)[], all, streams));
  });
}

/** commander prints through us and throws instead of ending the process; neither is inherited by every way of adding a command. */
function configure(commander: Commander, { stdout, stderr }: Streams): Commander {
  return commander
    .exitOverride((error) => {
      throw /^commander\.(?:help|version)/.test(error.code) ? error : usageError(commander, error);
    })
    .configureOutput({ writeOut: stdout, writeErr: stderr, outputError: () => undefined });
}

/** What commander found wrong with a command line, as an error of ours. */
function usageError(commander: Commander, error: CommanderError): HarnessError {
  const [what = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const path: string[] = [];
  for (let one: Commander | null = commander; one !== null; one = one.parent) path.unshift(one.name());
  const suggested = /\(Did you mean (?:one of )?(.*)\?\)/.exec(more.join(" "))?.[1];
  const near = suggested ?? nearestCommand(commander, error);
  const see = `See: ${path.join(" ")} --help`;
  return usage(
    `${path.join(" ")}: ${what.replace(/\.?$/, ".")}`,
    near === undefined ? see : `Did you mean ${near}? ${see}`,
  );
}

/** commander compares letters only; a command written by another habit (`launch_all`) is found here. */
function nearestCommand(commander: Commander, { code, message }: CommanderError): string | undefined {
  if (code !== "commander.unknownCommand") return undefined;
  const names = commander
    .createHelp()
    .visibleCommands(commander)
    .map((one) => one.name());
  return nearest(/'(.*)'/.exec(message)?.[1] ?? "", names);
}
