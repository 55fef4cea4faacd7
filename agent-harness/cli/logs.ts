import { HarnessError } from "../shared/errors.ts";
import { parseAgentId } from "../shared/names.ts";
import {
  findLedger,
  getLedger,
  type LogLine,
  type LogSource,
  logSources,
  openLogs,
  selectProcesses,
  stacksOf,
} from "../stacks/index.ts";
import { agentColour, paint } from "./colour.ts";
import { type CommandContext, command, type Options } from "./command.ts";
import { jsonText } from "./output.ts";
import { parseSince } from "./since.ts";
import { homeOf } from "./stack-command.ts";
import { untilUnread } from "./until-unread.ts";
import { parseCount, usage } from "./usage.ts";

/** The options of every command that shows logs. */
export const logOptions = [
  ["--lines <n>", "how many of each (default: 50, with --since all)"],
  ["--since <time>", "only what was printed since then: 90s, 10m, 2h, 14:30, 2026-01-31T14:30"],
  ["--follow", "go on until interrupted"],
  ["--json", "print one JSON document; with --follow, one a line"],
] as const;

export const logsCommand = command<void>({
  usage: "logs [agent-or-process...]",
  summary:
    "the logs of all agents of this repository together, of those named by their ids, of one process of each; ends by itself",
  options: [...logOptions, ["--everywhere", "the agents of every repository of this machine"]],
  ownJson: true,
  run: async (words, options, context) => {
    const { ids, process } = parseWords(words);
    const find = (): Promise<LogSource[]> => sourcesOf(ids, process, options, context);
    const sources = await find();
    if (sources.length === 0) context.stderr("There is no stack here. Run: agent-harness launch 1\n");
    await showLogs(sources, options, context, columns(sources, context), ids.length === 0 ? find : undefined);
  },
});

/** Ids come first in no order of their own; what is no number names a process. */
function parseWords(words: readonly (string | undefined)[]): { ids: number[]; process: string | undefined } {
  const given = words.flatMap((word) => word ?? []);
  const ids = given.filter((word) => /^-?\d/.test(word)).map(parseAgentId);
  const [process, ...more] = given.filter((word) => !/^-?\d/.test(word));
  if (more.length > 0)
    throw usage(`logs shows all processes or one, not ${[process, ...more].join(" and ")}.`, "Name one.");
  return { ids: [...new Set(ids)], process };
}

/** The logs that a command line means. With several agents a process that only some of them have is fine. */
async function sourcesOf(
  ids: readonly number[],
  process: string | undefined,
  options: Options,
  context: CommandContext,
): Promise<LogSource[]> {
  const paths = homeOf(context);
  const claims = await stacksOf(paths, { cwd: context.cwd, everywhere: options["everywhere"] === true });
  const ledgers =
    ids.length > 0
      ? await Promise.all(ids.map((id) => getLedger(paths, id)))
      : (await Promise.all(claims.map(({ id }) => findLedger(paths, id)))).flatMap((one) => one ?? []);
  if (process === undefined) return ledgers.flatMap((ledger) => logSources(ledger, ledger.processes));
  const unknown: HarnessError[] = [];
  const found = ledgers.flatMap((ledger) => {
    try {
      return logSources(ledger, selectProcesses(ledger, process));
    } catch (error) {
      if (!(error instanceof HarnessError)) throw error;
      unknown.push(error);
      return [];
    }
  });
  if (found.length === 0 && unknown[0] !== undefined) throw unknown[0];
  return found;
}

/** Prints logs as the options say; `text` makes the line for people. */
export async function showLogs(
  sources: readonly LogSource[],
  options: Options,
  context: CommandContext,
  text: (line: LogLine) => string,
  find?: () => Promise<LogSource[]>,
): Promise<void> {
  const since = parseSince(options["since"]);
  const follow = options["follow"] === true;
  const lines =
    options["lines"] === undefined && since !== undefined ? undefined : parseCount("--lines", options["lines"], 50);
  const logs = await openLogs(sources, { lines, since, whole: follow });
  for (const gap of logs.gaps) context.stderr(`${gap}\n`);
  // One document a line with --follow: nobody knows the end.
  const print = (line: LogLine): void =>
    context.stdout(context.json && follow ? `${JSON.stringify(line)}\n` : text(line));
  if (context.json && !follow) context.stdout(jsonText(logs.lines));
  else for (const line of logs.lines) print(line);
  if (follow) await logs.follow(untilUnread(), print, find);
}

/** `agent-3 api | line`, in the agent's colour on a terminal; the bars line up. */
function columns(
  sources: readonly LogSource[],
  { interactive, env }: Pick<CommandContext, "interactive" | "env">,
): (line: LogLine) => string {
  const coloured = interactive && !env["NO_COLOR"];
  const nameOf = ({ agent, process }: Pick<LogLine, "agent" | "process">): string => `agent-${agent} ${process}`;
  const width = Math.max(0, ...sources.map((source) => nameOf(source).length));
  return (line) => `${paint(`${nameOf(line).padEnd(width)} |`, agentColour(line.agent), coloured)} ${line.line}\n`;
}
