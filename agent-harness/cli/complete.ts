import { readFileSync } from "node:fs";
import { basename, join, sep } from "node:path";
import { home } from "./agent/url.ts";
import type { CompletionCommand, CompletionData } from "./completion-data.ts";

/*
 * `agent-harness complete -- <program> <words...>`: what may stand in the place of the last word, one a line, with what it
 * means behind a tab. A shell asks with each key, so this is answered in Node's own time: it reads files and imports nothing
 * of ours that is heavy.
 */

/** Tells the shell to name files instead. */
export const files = ":files";

export type CompleteEnv = Readonly<Record<string, string | undefined>>;

/** What to print for `complete …`; undefined for every other command line. */
export function quickComplete(argv: readonly string[], env: CompleteEnv, cwd: string): string | undefined {
  const [command, ...rest] = argv;
  if (command !== "complete") return undefined;
  const words = rest[0] === "--" ? rest.slice(1) : rest;
  return complete(words, readData(), env, cwd)
    .map(([value, meaning]) => `${value}${meaning === undefined ? "" : `\t${meaning}`}\n`)
    .join("");
}

function readData(): CompletionData {
  return JSON.parse(
    readFileSync(new URL("../../templates/completion.json", import.meta.url), "utf8"),
  ) as CompletionData;
}

/** A word that fits, and what it means. */
export type Candidate = readonly [value: string, meaning?: string];

/** The candidates for the last of the words; the first is the program. */
export function complete(words: readonly string[], data: CompletionData, env: CompleteEnv, cwd: string): Candidate[] {
  const [called = "", ...rest] = words;
  const current = rest.pop() ?? "";
  const program = data.programs.find((one) => one.name === basename(called));
  if (program === undefined) return [];
  const machine = openMachine(env, cwd);
  const file = dropOptions(rest, program.options);
  if (file !== undefined) return [[files]];
  const stack = program.name === "agent-cli" && /^\d/.test(rest[0] ?? "") ? rest.shift() : undefined;
  const line: Line = { before: rest, current, data, machine, stack: stack ?? machine.current() };
  const fits = ([value]: Candidate): boolean => value === files || value.startsWith(current);
  const command = findCommand(program.commands, rest);
  if (command !== undefined) return forCommand(command, line).filter(fits);
  if (current.startsWith("-")) return program.options.map(asCandidate).filter(fits);
  const ids = program.name === "agent-cli" && stack === undefined && rest.length === 0 ? machine.ids() : [];
  return [...ids, ...nextNames(program.commands, rest)].filter(fits);
}

/** Takes the program's own options off the words; returns the one whose value comes next, a file. */
function dropOptions(words: string[], options: readonly (readonly [string, string])[]): string | undefined {
  while (words[0]?.startsWith("-")) {
    const [word = ""] = words.splice(0, 1);
    const takesValue = options.some(([flags]) => flagOf(flags) === word && flags.includes("<"));
    if (takesValue && words.splice(0, 1).length === 0) return word;
  }
  return undefined;
}

/** A command line so far. */
interface Line {
  before: readonly string[];
  current: string;
  data: CompletionData;
  machine: Machine;
  /** The id of the stack that the words are about. */
  stack: string | undefined;
}

/** The command whose names the words begin with. */
const findCommand = (all: readonly CompletionCommand[], words: readonly string[]): CompletionCommand | undefined =>
  all.find(({ names }) => names.length <= words.length && names.every((name, at) => words[at] === name));

/** The names that may come next, of commands or of groups of them. */
function nextNames(all: readonly CompletionCommand[], words: readonly string[]): Candidate[] {
  const names = new Map<string, string>();
  for (const one of all.filter((other) => words.every((word, at) => other.names[at] === word))) {
    const name = one.names[words.length];
    const isLast = one.names.length === words.length + 1;
    if (name !== undefined && !names.has(name)) names.set(name, isLast ? one.summary : `commands about ${name}`);
  }
  return [...names];
}

const flagOf = (flags: string): string => flags.split(" ")[0] ?? "";
const asCandidate = ([flags, meaning]: readonly [string, string]): Candidate => [flagOf(flags), meaning];

function forCommand(command: CompletionCommand, line: Line): Candidate[] {
  const words = line.before.slice(command.names.length);
  if (command.passThrough && words.length > 0) return [[files]];
  const { taken, waiting, given } = readWords(command, words);
  if (waiting !== undefined && (waiting.needed || !line.current.startsWith("-"))) {
    const values = valuesOf(waiting.name, waiting.flag, line, given);
    if (waiting.needed || values.length > 0) return values;
  }
  if (line.current.startsWith("-")) {
    const left = command.options.filter(([flags]) => flags.includes("...") || !taken.has(flagOf(flags)));
    return [...left.map(asCandidate), ["--help", "what it does"]];
  }
  const argument = command.args[given.length] ?? command.args.findLast((name) => name.endsWith("..."));
  return argument === undefined ? [] : valuesOf(argument.replace("...", ""), undefined, line, given);
}

interface Read {
  /** The flags that are there. */
  taken: Set<string>;
  /** The option whose value comes next. */
  waiting: { flag: string; name: string; needed: boolean } | undefined;
  /** The arguments. */
  given: string[];
}

function readWords({ options }: CompletionCommand, words: readonly string[]): Read {
  const read: Read = { taken: new Set(), waiting: undefined, given: [] };
  for (const [at, word] of words.entries()) {
    if (word === "--") return { ...read, waiting: undefined, given: [...read.given, ...words.slice(at + 1)] };
    if (!word.startsWith("-")) {
      if (read.waiting === undefined) read.given.push(word);
      // One that takes several goes on until the next flag.
      else if (!options.some(([flags]) => flagOf(flags) === read.waiting?.flag && flags.includes("..."))) {
        read.waiting = undefined;
      } else read.waiting = { ...read.waiting, needed: false };
      continue;
    }
    const [flags = ""] = options.find(([one]) => flagOf(one) === word.split("=")[0]) ?? [];
    const [, open, name = ""] = / ([<[])([^>\].]*)/.exec(flags) ?? [];
    read.taken.add(flagOf(flags));
    read.waiting =
      open === undefined || word.includes("=") ? undefined : { flag: flagOf(flags), name, needed: open === "<" };
  }
  return read;
}

/** What may stand for an argument, by its name in the usage. */
function valuesOf(
  name: string,
  flag: string | undefined,
  { data, machine, stack }: Line,
  given: readonly string[],
): Candidate[] {
  const fixed = data.values[flag ?? name] ?? data.values[name];
  if (fixed !== undefined) return fixed.map((value): Candidate => [value]);
  if (name === "id") return machine.ids();
  if (name === "process") return stack === undefined ? [] : machine.processes([stack]);
  if (name === "agent-or-process") {
    const ids = machine.ids().filter(([id]) => !given.includes(id));
    const asked = given.filter((word) => /^\d+$/.test(word));
    return [...ids, ...machine.processes(asked.length > 0 ? asked : machine.ids().map(([id]) => id))];
  }
  return ["file", "path", "folder", "command"].includes(name) ? [[files]] : [];
}

/** What lives on this machine. */
interface Machine {
  ids: () => Candidate[];
  processes: (ids: readonly string[]) => Candidate[];
  /** The stack that a command without an id means, as far as it is known without asking git. */
  current: () => string | undefined;
}

interface Claim {
  project: string;
  workdir: string;
}

function openMachine(env: CompleteEnv, cwd: string): Machine {
  const folder = home(env) ?? "";
  const stacks = readJson<{ stacks?: Record<string, Claim> }>(join(folder, "registry.json"))?.stacks ?? {};
  return {
    ids: () => Object.entries(stacks).map(([id, { project, workdir }]): Candidate => [id, `${project} in ${workdir}`]),
    processes: (ids) => {
      const names = ids.flatMap((id) => {
        const ledger = readJson<{ processes?: { process: string }[] }>(
          join(folder, "stacks", basename(id), "ledger.json"),
        );
        return (ledger?.processes ?? []).map((one) => one.process);
      });
      return [...new Set(names)].map((name): Candidate => [name, "process"]);
    },
    current: () => {
      if (env["AGENT_ID"]) return env["AGENT_ID"];
      const all = Object.entries(stacks);
      const holding = all.filter(([, { workdir }]) => `${cwd}${sep}`.startsWith(`${workdir}${sep}`));
      const nearest = holding.sort(([, a], [, b]) => b.workdir.length - a.workdir.length)[0];
      return (nearest ?? (all.length === 1 ? all[0] : undefined))?.[0];
    },
  };
}

function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    // Nothing there, or nothing that can be read: nothing to offer.
    return undefined;
  }
}
