import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { HarnessError } from "./errors.ts";
import { isWithin } from "./paths.ts";

const asList = 'Write the command as a list of words, or hand it to a shell yourself: ["sh", "-c", "…"].';

/** One line while it is taken apart. */
interface Cursor {
  readonly line: string;
  at: number;
  /** The word being read; undefined between words, so that `''` still counts as a word. */
  word: string | undefined;
  readonly words: string[];
}

/**
 * The words of one line: blanks separate, '…' and "…" and a backslash group, `{{…}}` stays in one piece. Nothing is
 * expanded, so what only a shell could do (pipes, redirections, `$NAME`) is refused with CONFIG_INVALID.
 */
export function splitWords(line: string): string[] {
  const cursor: Cursor = { line: line.trim(), at: 0, word: undefined, words: [] };
  while (cursor.at < cursor.line.length) step(cursor);
  endWord(cursor);
  if (cursor.words.length === 0) throw refused("The command is empty.");
  if (/^[A-Za-z_][A-Za-z0-9_]*=/.test(cursor.line)) {
    throw refused(`\`${shown(line)}\` begins with a variable, which only a shell would set.`, "Put it under `env`.");
  }
  return cursor.words;
}

/** The words of a command of the project config, which is a list already or one line. Throws CONFIG_INVALID. */
export function commandWords(command: string | readonly string[]): string[] {
  if (typeof command === "string") return splitWords(command);
  if (!command[0]) throw refused("The command names no program: the first word of its list is empty.");
  return [...command];
}

export interface FindOptions {
  /** Folder that a name with a slash is resolved against. */
  cwd: string;
  /** Folders to look in for a name without a slash, in order; `binPath` makes them. */
  path: readonly string[];
}

/** The absolute path of an executable file, or undefined where there is none. */
export async function findExecutable(name: string, options: FindOptions): Promise<string | undefined> {
  const places = name.includes("/") ? [options.cwd] : options.path;
  for (const place of places) {
    const file = resolve(place, name);
    if (await isExecutable(file)) return file;
  }
  return undefined;
}

/**
 * Where programs are looked for from `cwd`: node_modules/.bin of it and of every parent up to `workdir`, the PATH of
 * `env`, then the folder of the running Node. Relative entries of PATH are left out: they would mean another folder here.
 */
export function binPath(
  workdir: string,
  cwd: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  const bins: string[] = [];
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    bins.push(join(folder, "node_modules", ".bin"));
    if (folder === resolve(workdir) || !isWithin(resolve(workdir), folder)) break;
  }
  const path = (env["PATH"] ?? "").split(delimiter).filter((entry) => isAbsolute(entry));
  // Node's folder last: in /usr/bin it would hide the python of a virtual environment, and whatever else PATH prefers.
  return [...new Set([...bins, ...path, dirname(process.execPath)])];
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    // Whatever the reason, this file cannot be run; the caller says so by name.
    return false;
  }
}

function step(cursor: Cursor): void {
  const char = cursor.line[cursor.at] ?? "";
  if (cursor.line.startsWith("{{", cursor.at)) readHandlebars(cursor);
  else if (char === "'") readSingle(cursor);
  else if (char === '"') readDouble(cursor);
  else if (char === "\\") readEscape(cursor);
  else if (char === " " || char === "\t") {
    endWord(cursor);
    cursor.at += 1;
  } else {
    refuseShell(cursor, /^(?:[|&;<>`\r\n]|\$[\w({@*#?$!-])/);
    append(cursor, char);
  }
}

function readSingle(cursor: Cursor): void {
  const end = cursor.line.indexOf("'", cursor.at + 1);
  if (end < 0) throw unbalanced(cursor, "'");
  cursor.word = (cursor.word ?? "") + cursor.line.slice(cursor.at + 1, end);
  cursor.at = end + 1;
}

function readDouble(cursor: Cursor): void {
  cursor.word ??= "";
  cursor.at += 1;
  for (;;) {
    const char = cursor.line[cursor.at];
    if (char === undefined) throw unbalanced(cursor, '"');
    if (char === '"') break;
    if (cursor.line.startsWith("{{", cursor.at)) readHandlebars(cursor);
    else if (char === "\\" && /^["\\$`]/.test(cursor.line.slice(cursor.at + 1))) readEscape(cursor);
    else {
      // A shell would expand these inside double quotes too; taken literally they would be a surprise.
      refuseShell(cursor, /^(?:`|\$[\w({@*#?$!-])/);
      append(cursor, char);
    }
  }
  cursor.at += 1;
}

function readEscape(cursor: Cursor): void {
  const next = cursor.line[cursor.at + 1];
  if (next === undefined) throw unbalanced(cursor, "\\");
  cursor.at += 1;
  append(cursor, next);
}

/** Copies `{{…}}` or `{{{…}}}` as it stands, blanks and quotes included: it is filled in after the words are known. */
function readHandlebars(cursor: Cursor): void {
  const close = cursor.line.startsWith("{{{", cursor.at) ? "}}}" : "}}";
  const end = cursor.line.indexOf(close, cursor.at);
  if (end < 0) throw unbalanced(cursor, "{{");
  cursor.word = (cursor.word ?? "") + cursor.line.slice(cursor.at, end + close.length);
  cursor.at = end + close.length;
}

function append(cursor: Cursor, char: string): void {
  cursor.word = (cursor.word ?? "") + char;
  cursor.at += 1;
}

function endWord(cursor: Cursor): void {
  if (cursor.word !== undefined) cursor.words.push(cursor.word);
  cursor.word = undefined;
}

function refuseShell(cursor: Cursor, pattern: RegExp): void {
  const found = pattern.exec(cursor.line.slice(cursor.at))?.[0];
  if (found === undefined) return;
  const what = found.startsWith("\n") || found.startsWith("\r") ? "a line break" : `\`${found.slice(0, 2)}\``;
  throw refused(
    `\`${shown(cursor.line)}\` has ${what} at column ${cursor.at + 1}, and no shell runs here to read it.`,
    "Put it in single quotes if it is meant literally.",
  );
}

const unbalanced = (cursor: Cursor, mark: string): HarnessError =>
  refused(`\`${shown(cursor.line)}\` has an opening ${mark} with nothing that closes it.`);

const shown = (line: string): string => (line.length > 80 ? `${line.slice(0, 79)}…` : line).replaceAll(/\s+/g, " ");

const refused = (message: string, first = ""): HarnessError =>
  new HarnessError("CONFIG_INVALID", message, { hint: first === "" ? asList : `${first} ${asList}` });
