import type { Sessions, Webhooks } from "../sessions/index.ts";
import type { Progress } from "../shared/progress.ts";
import type { EventLog } from "../store/index.ts";

/** Serves the HTTP API, which is another door: whoever starts the program gives it, since doors do not know each other. */
export type OpenApi = (options: {
  sessions: Sessions;
  events: EventLog;
  webhooks: Webhooks;
  token: string;
  version: string;
  tmuxAvailable: () => Promise<boolean>;
  report: (error: unknown) => void;
  host: string;
  port: number;
}) => Promise<{ url: string; stop(): Promise<void> }>;

/** What a command gets besides its own arguments. */
export interface CommandContext {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** `--config`. */
  config: string | undefined;
  progress: Progress;
  /** Whether stdout is a terminal that a person reads, and JSON was not asked for. */
  interactive: boolean;
  json: boolean;
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  /** Absent where the program was started without it. */
  openApi?: OpenApi;
}

/** The options of one call, by commander's camel-cased names. */
export type Options = Readonly<Record<string, unknown>>;

/**
 * One command as data and a handler: what commander shows, what docs/cli.md lists, and what runs. The handler decides
 * nothing of its own; it calls a floor and returns what came back.
 */
export interface Command<Result = unknown> {
  /** With its arguments in commander's words, such as `launch <id>`. */
  usage: string;
  summary: string;
  /** Flags, and what each means. */
  options?: readonly (readonly [flags: string, description: string])[];
  run: (args: readonly (string | undefined)[], options: Options, context: CommandContext) => Promise<Result>;
  /** The result for people; without it the command has printed what it had to say. */
  text?: (result: Result, context: CommandContext) => string;
  /** The exit code of a result; 0 without it. */
  exitCode?: (result: Result) => number;
  /** The command has its own `--json`, or none. */
  ownJson?: boolean;
  /** Not shown to people: a part of the machinery. */
  hidden?: boolean;
}

/** Keeps the types of a command's parts together. */
export const command = <Result>(definition: Command<Result>): Command => definition as Command;
