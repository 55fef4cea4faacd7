import { Command as Commander, CommanderError } from "commander";
import { asHarnessError, errorKinds } from "../shared/errors.ts";
import type { Command, CommandContext, Options } from "./command.ts";
import { errorLines, jsonText } from "./output.ts";
import { withProgress } from "./progress.ts";

/** A program of ours: its name, its commands (nested by blanks in their usage) and what its help says first. */
export interface Program {
  name: string;
  description: string;
  version: string;
  commands: readonly Command[];
  /** Commands whose words all belong to a program that they run, flags included. */
  passThrough?: readonly string[];
}

export interface MainOptions {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  stdout?: (text: string) => void;
  stderr?: (text: string) => void;
  /** Whether stderr is a terminal on which a list may move. */
  live?: boolean;
  interactive?: boolean;
}

/** Runs a program on a command line and returns its exit code. The one place where errors become text. */
export async function main(program: Program, argv: readonly string[], options: MainOptions = {}): Promise<number> {
  const stdout = options.stdout ?? ((text) => void process.stdout.write(text));
  const stderr = options.stderr ?? ((text) => void process.stderr.write(text));
  const json = argv.includes("--json");
  let exitCode = 0;
  try {
    const commander = build(program, { ...options, stdout, stderr }, (code) => {
      exitCode = code;
    });
    await commander.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : errorKinds.usage.exitCode;
    const error = asHarnessError(thrown);
    if (json) stdout(jsonText({ error: error.toJSON() }));
    stderr(errorLines(error));
    return errorKinds[error.kind].exitCode;
  }
}

type Streams = MainOptions & Required<Pick<MainOptions, "stdout" | "stderr">>;

function build(program: Program, streams: Streams, done: (exitCode: number) => void): Commander {
  const root = configure(new Commander(program.name), streams)
    .description(program.description)
    .version(program.version);
  root.option("--config <file>", "the project config to use");
  const groups = new Map<string, Commander>();
  for (const definition of program.commands) {
    const words = definition.usage.split(" ");
    const split = words.findIndex((word) => /^[<[]/.test(word));
    const names = split === -1 ? words : words.slice(0, split);
    const usage = [names.at(-1), ...(split === -1 ? [] : words.slice(split))].join(" ");
    const parent = names.length === 1 ? root : groupOf(names[0] ?? "", root, groups, streams);
    const added = addCommand(parent, usage, definition, streams, done);
    if (program.passThrough?.includes(added.name())) {
      root.enablePositionalOptions();
      added.passThroughOptions().allowUnknownOption();
    }
  }
  return root;
}

function groupOf(name: string, root: Commander, groups: Map<string, Commander>, streams: Streams): Commander {
  const known = groups.get(name);
  if (known !== undefined) return known;
  const group = configure(root.command(name), streams).description(`commands about ${name}`);
  groups.set(name, group);
  return group;
}

function addCommand(
  parent: Commander,
  usage: string,
  definition: Command,
  streams: Streams,
  done: (exitCode: number) => void,
): Commander {
  const one = configure(parent.command(usage, { hidden: definition.hidden ?? false }), streams).description(
    definition.summary,
  );
  for (const [flags, description] of definition.options ?? []) one.option(flags, description);
  if (!definition.ownJson) one.option("--json", "print the result as one JSON document");
  one.action(async () => {
    const all = one.optsWithGlobals<Record<string, unknown>>();
    done(await execute(definition, one.processedArgs as (string | undefined)[], all, streams));
  });
  return one;
}

/** commander prints through us and throws instead of ending the process; neither is inherited by every way of adding a command. */
function configure(commander: Commander, { stdout, stderr }: Streams): Commander {
  return commander
    .exitOverride()
    .configureOutput({ writeOut: stdout, writeErr: stderr })
    .showHelpAfterError("(add --help for what can be said)");
}

async function execute(
  definition: Command,
  args: readonly unknown[],
  options: Options,
  streams: Streams,
): Promise<number> {
  const json = options["json"] !== undefined && options["json"] !== false;
  const env = streams.env ?? process.env;
  const live = streams.live ?? (process.stderr.isTTY === true && !env["CI"] && !env["NO_COLOR"] && !json);
  // A variadic argument is one list; handlers get one flat line of words.
  const words = args.flat() as (string | undefined)[];
  const result = await withProgress(
    definition.usage.replace(/ .*/, ""),
    { live: live && definition.text !== undefined, stderr: streams.stderr },
    async (progress) => {
      const context = contextOf(streams, options, progress, json);
      return { context, value: await definition.run(words, options, context) };
    },
  );
  if (json && !definition.ownJson) streams.stdout(jsonText(result.value));
  else if (definition.text !== undefined) streams.stdout(definition.text(result.value, result.context));
  return definition.exitCode?.(result.value) ?? 0;
}

function contextOf(
  streams: Streams,
  options: Options,
  progress: CommandContext["progress"],
  json: boolean,
): CommandContext {
  const config = options["config"];
  return {
    env: streams.env ?? process.env,
    cwd: streams.cwd ?? process.cwd(),
    config: typeof config === "string" ? config : undefined,
    progress,
    interactive: (streams.interactive ?? process.stdout.isTTY === true) && !json,
    json,
    stdout: streams.stdout,
    stderr: streams.stderr,
  };
}
