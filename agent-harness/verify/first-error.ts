import { biome } from "./formats/biome.ts";
import { cargo } from "./formats/cargo.ts";
import { eslintCompact, eslintStylish, eslintUnix } from "./formats/eslint.ts";
import type { Format, FoundError, LineParser } from "./formats/format.ts";
import { go } from "./formats/go.ts";
import { jest } from "./formats/jest.ts";
import { locatedLine } from "./formats/located.ts";
import { pytest } from "./formats/pytest.ts";
import { stack } from "./formats/stack.ts";
import { tsc } from "./formats/tsc.ts";
import { vitest } from "./formats/vitest.ts";
import { readRunnerLines } from "./runner-lines.ts";

const formats: readonly Format[] = [
  tsc,
  eslintStylish,
  eslintUnix,
  eslintCompact,
  biome,
  vitest,
  jest,
  pytest,
  go,
  cargo,
];
/** Asked only when none of the tools above was recognized. */
const lastResorts: readonly Format[] = [stack, locatedLine];

/** Lines that say only that something above went wrong. */
const noise = new RegExp(
  [
    "^npm (?:error|ERR!|warn|notice)",
    "ELIFECYCLE",
    "ERR_PNPM_RECURSIVE",
    "^error Command failed",
    "^info Visit https",
    "^[Ee]xit status \\d+",
    "^make(?:\\[\\d+\\])?: \\*\\*\\*",
    "^\\s*at ",
    "^Node\\.js v\\d",
    '^error: script ".*" exited',
    "^Failed$",
    " ERROR  (?:command|run failed)",
    "^\\s*(?:Tasks|Cached|Time|Failed): ",
  ].join("|"),
);

/** How far back the last line that says something is looked for. */
const maxTail = 200;

/** The first error of a command's output, and where the task ran that printed it. */
export interface FirstError extends FoundError {
  /** Folders to look for the file in, besides the command's own. */
  folders: string[];
}

/** Reads a command's output line by line, both streams apart, and keeps only what it needs. */
export interface ErrorReader {
  line(stream: string, line: string): void;
  /** The first error that a tool named, if one was recognized. */
  end(): FirstError | undefined;
  /** The last line that says something, for output that no parser knows. */
  lastLine(): string | undefined;
}

interface TaskParsers {
  known: LineParser[];
  fallback: { parser: LineParser; found: FoundError | undefined }[];
}

/** Starts reading the output of one command. */
export function readErrors(): ErrorReader {
  const runner = readRunnerLines();
  const tasks = new Map<string, { task: string; parsers: TaskParsers }>();
  let found: FirstError | undefined;
  let foundTask = "";
  const tail: string[] = [];
  return {
    line(stream, line) {
      const { text, task } = runner.read(line);
      if (text !== "") tail.push(text);
      // Cut now and then, not at each line: outputs of a million lines are read here.
      if (tail.length >= 2 * maxTail) tail.splice(0, maxTail);
      if (found !== undefined) return;
      const key = `${stream} ${task}`;
      const known = tasks.get(key) ?? { task, parsers: startParsers() };
      tasks.set(key, known);
      const error = feed(known.parsers, text);
      if (error === undefined) return;
      found = { ...error, folders: [] };
      foundTask = task;
    },
    end() {
      const rest = found === undefined ? endOf([...tasks.values()]) : undefined;
      const error = found ?? rest?.error;
      return error && { ...error, folders: runner.folders(rest?.task ?? foundTask) };
    },
    lastLine() {
      const said = tail.filter((text) => /[\p{L}\p{N}]/u.test(text));
      return (said.findLast((text) => !noise.test(text)) ?? said.at(-1))?.trim();
    },
  };
}

function startParsers(): TaskParsers {
  return {
    known: formats.map((format) => format.start()),
    fallback: lastResorts.map((format) => ({ parser: format.start(), found: undefined })),
  };
}

function feed(parsers: TaskParsers, text: string): FoundError | undefined {
  for (const one of parsers.fallback) one.found ??= one.parser.line(text);
  for (const parser of parsers.known) {
    const error = parser.line(text);
    if (error !== undefined) return error;
  }
  return undefined;
}

function endOf(tasks: { task: string; parsers: TaskParsers }[]): { error: FoundError; task: string } | undefined {
  for (const { task, parsers } of tasks) {
    for (const parser of parsers.known) {
      const error = parser.end();
      if (error !== undefined) return { error, task };
    }
  }
  for (const { task, parsers } of tasks) {
    for (const one of parsers.fallback) {
      const error = one.found ?? one.parser.end();
      if (error !== undefined) return { error, task };
    }
  }
  return undefined;
}
