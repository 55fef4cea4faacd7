import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { asHarnessError, errorNumber, HarnessError } from "./errors.ts";

const run = promisify(execFile);

/** One running process of the machine, as `ps` shows it. */
export interface ProcessInfo {
  pid: number;
  parent: number;
  group: number;
  /** When it started, as text; together with the pid it names a process for good, since pids are used again. */
  started: string;
  command: string;
}

const psLine = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/;

/** Every process of the machine at one instant. */
export async function listProcesses(): Promise<ProcessInfo[]> {
  try {
    return await listByPs();
  } catch (error) {
    // Small images of Linux have no ps.
    if (process.platform !== "linux" || asHarnessError(error).code !== "PROGRAM_MISSING") throw error;
    return await listByProc();
  }
}

async function listByProc(): Promise<ProcessInfo[]> {
  const bootMs = 1000 * Number(/^btime (\d+)$/m.exec(await readFile("/proc/stat", "utf8"))?.[1] ?? 0);
  const all = (await pidsOfProc()).map(async (pid): Promise<ProcessInfo[]> => {
    // One that just ended is not there any more.
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const [, parent, group, ...more] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = more[16];
    if (ticks === undefined) return [];
    // A tick has been a hundredth of a second wherever Node runs.
    const started = asPsTime(new Date(bootMs + Number(ticks) * 10));
    const args = command.split("\0").join(" ").trim();
    return [{ pid, parent: Number(parent), group: Number(group), started, command: args || `[${name}]` }];
  });
  return (await Promise.all(all)).flat();
}

/** A time as `ps` writes it. */
function asPsTime(time: Date): string {
  const [weekday = "", month = "", day = "", year = ""] = time.toDateString().split(" ");
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${time.toTimeString().slice(0, 8)} ${year}`;
}

const pidsOfProc = async (): Promise<number[]> =>
  (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);

async function listByPs(): Promise<ProcessInfo[]> {
  const columns = ["pid=", "ppid=", "pgid=", "lstart=", "args="].flatMap((column) => ["-o", column]);
  const { stdout } = await ps(["-A", "-ww", ...columns]);
  return stdout.split("\n").flatMap((line) => {
    const [, pid, parent, group, started, command] = psLine.exec(line) ?? [];
    if (!pid || !started) return [];
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), started, command: command ?? "" }];
  });
}

async function ps(args: string[]): Promise<{ stdout: string }> {
  try {
    return await run("ps", args, { env: { ...process.env, LC_ALL: "C" }, maxBuffer: 64 * 1024 * 1024 });
  } catch (cause) {
    if (errorNumber(cause) !== "ENOENT") throw cause;
    throw new HarnessError(
      "PROGRAM_MISSING",
      "The program ps was not found; without it no process tree can be stopped.",
      {
        hint: "Install it (Debian, Ubuntu: apt-get install procps).",
        cause,
      },
    );
  }
}

/** A process and everything below it, from one snapshot; empty when the pid is not there. */
export function treeOf(pid: number, all: readonly ProcessInfo[]): ProcessInfo[] {
  const found = all.filter((one) => one.pid === pid);
  for (const known of found) {
    for (const child of all) {
      if (child.parent === known.pid && child.pid !== known.pid && !found.includes(child)) found.push(child);
    }
  }
  return found;
}

/** The processes whose environment has `name=value`: ours even when they left their tree by setsid or a double fork. */
export async function findMarked(name: string, value: string): Promise<ProcessInfo[]> {
  const all = await listMarked(name, (own) => own === value);
  return all.map(({ value: _, ...info }) => info);
}

/** Every process whose environment has this variable with a value that fits, and the value. */
export async function listMarked(
  name: string,
  fits: (value: string) => boolean,
): Promise<(ProcessInfo & { value: string })[]> {
  const values = process.platform === "linux" ? await valuesOnLinux(name) : await valuesByPs(name);
  const marked = new Map([...values].filter(([pid, value]) => pid !== process.pid && fits(value)));
  if (marked.size === 0) return [];
  return (await listProcesses()).flatMap((one) => {
    const value = marked.get(one.pid);
    return value === undefined ? [] : [{ ...one, value }];
  });
}

async function valuesOnLinux(name: string): Promise<Map<number, string>> {
  const values = [...(await environments())].flatMap(([pid, environ]): [number, string][] => {
    const found = environ.split("\0").find((entry) => entry.startsWith(`${name}=`));
    return found === undefined ? [] : [[pid, found.slice(name.length + 1)]];
  });
  return new Map(values);
}

type Environments = Promise<Map<number, string>>;
let looking: Environments | undefined;
let nextLook: Environments | undefined;

/**
 * The environment of every process. Who asks while a look is under way shares the next one with all others who do: it begins
 * after they asked, so it misses nothing, and the end of many sessions at once costs few looks.
 */
function environments(): Environments {
  if (looking === undefined) return look();
  nextLook ??= looking.then(lookAgain, lookAgain);
  return nextLook;
}

function lookAgain(): Environments {
  nextLook = undefined;
  return look();
}

function look(): Environments {
  const mine = readEnvironments().finally(() => {
    if (looking === mine) looking = undefined;
  });
  looking = mine;
  return mine;
}

async function readEnvironments(): Environments {
  const read = async (pid: number): Promise<[number, string]> => {
    // Another user's process, or one that just ended: neither is ours to find.
    return [pid, await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "")];
  };
  return new Map(await Promise.all((await pidsOfProc()).map(read)));
}

async function valuesByPs(name: string): Promise<Map<number, string>> {
  const { stdout } = await ps(["-A", "-E", "-ww", "-o", "pid=", "-o", "command="]);
  return new Map(
    stdout.split("\n").flatMap((line): [number, string][] => {
      const value = valueInPsLine(line, name);
      return value === undefined ? [] : [[Number.parseInt(line, 10), value]];
    }),
  );
}

/** A variable's value in a line of `ps -E`: the environment follows the command, and the next variable ends a value with blanks. */
export function valueInPsLine(line: string, name: string): string | undefined {
  const from = line.indexOf(` ${name}=`);
  if (from === -1) return undefined;
  const rest = line.slice(from + name.length + 2);
  const next = / [A-Za-z_]\w*=/.exec(rest);
  return (next === null ? rest : rest.slice(0, next.index)).trimEnd();
}

/** Stops a process and everything below it: SIGTERM, and SIGKILL for what still runs after `graceMs`. */
export async function killTree(pid: number, options: { graceMs?: number } = {}): Promise<void> {
  await killAll(treeOf(pid, await listProcesses()), options);
}

/** Stops exactly these processes (start times are compared, so a pid that was used again is left alone). */
export async function killAll(targets: readonly ProcessInfo[], options: { graceMs?: number } = {}): Promise<void> {
  if (!targets.some((target) => isRunning(target.pid))) return;
  const before = await listProcesses();
  for (const target of targets) if (isSame(target, before)) signal(target.pid, "SIGTERM");
  const end = Date.now() + (options.graceMs ?? 1500);
  let left = targets.filter((target) => isRunning(target.pid));
  while (left.length > 0 && Date.now() < end) {
    await delay(15);
    left = left.filter((target) => isRunning(target.pid));
  }
  if (left.length === 0) return;
  const now = await listProcesses();
  for (const target of left) if (isSame(target, now)) signal(target.pid, "SIGKILL");
}

function isSame(target: ProcessInfo, now: readonly ProcessInfo[]): boolean {
  return now.some((one) => one.pid === target.pid && one.started === target.started);
}

/** Like isAlive, but a zombie is dead: in a container whose pid 1 is slow to collect them they linger for seconds. */
export function isRunning(pid: number): boolean {
  if (process.platform !== "linux") return isAlive(pid);
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return false;
  }
}

/** Whether a process with this pid is there now. */
export function isAlive(pid: number): boolean {
  return signal(pid, 0);
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    return errorNumber(error) === "EPERM";
  }
}

/** When a process started (text to compare), or undefined when it does not run. Read from /proc where there is one. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  if (process.platform === "linux") {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    // The program's name, in parentheses, may hold blanks; the state follows it, and the start time is the 20th field.
    const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended, however long pid 1 takes to collect it.
    return fields === undefined || fields[0] === "Z" ? undefined : fields[19];
  }
  if (!isAlive(pid)) return undefined;
  return (await listProcesses()).find((one) => one.pid === pid)?.started;
}
