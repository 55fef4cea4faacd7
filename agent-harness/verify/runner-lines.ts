import { stripVTControlCharacters } from "node:util";

/** One line of output, without colours and without what a task runner put before it. */
interface RunnerLine {
  text: string;
  /** Which of the runner's tasks printed it; lines of different tasks come mixed. */
  task: string;
}

/** Takes apart the output of pnpm, npm, turbo, make and concurrently, which run one tool in several folders. */
export interface RunnerLines {
  read(line: string): RunnerLine;
  /** The folders in which the tasks ran, as far as the runner said so; absolute or relative to the command's. */
  folders(task: string): string[];
}

/** `> name@1.0.0 typecheck /the/folder`, as pnpm prints before a script. */
const scriptHeader = /^> \S+@\S* \S+ (\/.*)$/;
const npmFolder = /^npm (?:error|ERR!) (?:path|location) (\S.*)$/;
const makeFolder = /^make(?:\[\d+\])?: Entering directory ['`](.*)'$/;
/** `packages/api typecheck$ tsc`: from here on pnpm -r writes `packages/api typecheck: ` before each line. */
const pnpmTask = /^(\S.*?) ([\w:.-]+)\$ /;
/** `api:typecheck: cache miss, …`: turbo writes `api:typecheck: ` before each line. */
const turboTask = /^([^\s:]+:[\w:.-]+): cache (?:hit|miss|bypass)/;
const numbered = /^(\[\d{1,2}\]) (.*)$/;
/** More tasks than any repository has; output that only looks like tasks must not fill the memory. */
const maxTasks = 500;

/** Starts reading the output of one command. */
export function readRunnerLines(): RunnerLines {
  const prefixes = new Set<string>();
  const folders = new Map<string, Set<string>>([["", new Set()]]);
  const learn = (task: string, folder: string | undefined): void => {
    const known = folders.get(task) ?? new Set();
    if (folder !== undefined && known.size < maxTasks) known.add(folder);
    if (folders.size < maxTasks) folders.set(task, known);
  };
  return {
    read(line) {
      const shown = shownText(line);
      // Cheap looks first: most lines are nothing of this kind, and there may be millions.
      const [, pnpmFolder, script] = (shown.includes("$ ") && pnpmTask.exec(shown)) || [];
      if (pnpmFolder && script && prefixes.size < maxTasks) {
        prefixes.add(`${pnpmFolder} ${script}: `);
        learn(`${pnpmFolder} ${script}: `, pnpmFolder);
      }
      const [, turbo] = (shown.includes(": cache ") && turboTask.exec(shown)) || [];
      if (turbo && prefixes.size < maxTasks) prefixes.add(`${turbo}: `);
      const { text, task } = withoutPrefix(shown, prefixes);
      const folder = folderIn(text);
      if (folder !== undefined) learn(task, folder);
      return { text, task };
    },
    folders: (task) => [...(folders.get(task) ?? []), ...(task === "" ? [] : (folders.get("") ?? []))],
  };
}

/** What a terminal shows of a line: no colours, and of a progress line only what came last. */
function shownText(line: string): string {
  const plain = line.includes("\u001b") || line.includes("\u009b") ? stripVTControlCharacters(line) : line;
  const clean = plain.trimEnd();
  return clean.slice(clean.lastIndexOf("\r") + 1);
}

function folderIn(text: string): string | undefined {
  if (text.startsWith("> ")) return scriptHeader.exec(text)?.[1];
  if (text.startsWith("npm ")) return npmFolder.exec(text)?.[1];
  return text.startsWith("make") ? makeFolder.exec(text)?.[1] : undefined;
}

function withoutPrefix(line: string, prefixes: ReadonlySet<string>): RunnerLine {
  for (const prefix of prefixes) {
    if (line.startsWith(prefix)) return { text: line.slice(prefix.length), task: prefix };
  }
  const [, task, text] = (line.startsWith("[") && numbered.exec(line)) || [];
  return task !== undefined && text !== undefined ? { text, task } : { text: line, task: "" };
}
