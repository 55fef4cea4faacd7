import type { Command, CommandContext, OpenApi, Options } from "./command.ts";
import { jsonText } from "./output.ts";
import { withProgress } from "./progress.ts";

/** Where a program runs; what is left out is this process's own. */
export interface MainOptions {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  stdout?: (text: string) => void;
  stderr?: (text: string) => void;
  /** Whether stderr is a terminal on which a list may move. */
  live?: boolean;
  interactive?: boolean;
  openApi?: OpenApi;
}

/** The same, with places to print to. */
export type Streams = MainOptions & Required<Pick<MainOptions, "stdout" | "stderr">>;

/** Runs one command and prints its result; gives its exit code, and throws what it throws. */
export async function execute(
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
    ...(streams.openApi === undefined ? {} : { openApi: streams.openApi }),
  };
}
