import { execFile } from "node:child_process";
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What one process of the machine has used so far. */
interface ProcessUsage {
  pid: number;
  parent: number;
  /** When it started; together with the pid it names a process for good. */
  started: string;
  cpuMs: number;
  memoryBytes: number;
}

/** Every process of the machine at one instant. */
export interface UsageSample {
  atMs: number;
  byPid: ReadonlyMap<number, ProcessUsage>;
  childrenOf: ReadonlyMap<number, readonly number[]>;
}

/** What a tree of processes uses. */
export interface TreeUsage {
  /** How many processes of the system it is. */
  count: number;
  /** Percent of one core since the sample before; absent where there is none. */
  cpu?: number;
  /** Resident, summed: what several of them share counts for each. */
  memoryBytes: number;
}

/** Looks at every process once: a walk over /proc, a few ms; `ps` where there is no /proc. */
export async function sampleUsage(): Promise<UsageSample> {
  const all = process.platform === "linux" ? walk() : await askPs();
  const childrenOf = new Map<number, number[]>();
  for (const { pid, parent } of all) {
    const siblings = childrenOf.get(parent);
    if (siblings === undefined) childrenOf.set(parent, [pid]);
    else siblings.push(pid);
  }
  return { atMs: performance.now(), byPid: new Map(all.map((one) => [one.pid, one])), childrenOf };
}

/** The pids of some processes that run, and of all below them. */
export function treePids(roots: readonly number[], { byPid, childrenOf }: UsageSample): number[] {
  const found = new Set(roots.filter((pid) => byPid.has(pid)));
  // A set gives what is added while it is walked.
  for (const pid of found) for (const child of childrenOf.get(pid) ?? []) found.add(child);
  return [...found];
}

/** What the trees below some processes use; the CPU since an earlier sample. */
export function treeUsage(roots: readonly number[], now: UsageSample, before?: UsageSample): TreeUsage {
  const all = treePids(roots, now).flatMap((pid) => now.byPid.get(pid) ?? []);
  const memoryBytes = all.reduce((sum, one) => sum + one.memoryBytes, 0);
  if (before === undefined) return { count: all.length, memoryBytes };
  const used = all.reduce((sum, one) => sum + one.cpuMs - cpuBefore(one, before), 0);
  const cpu = (used / Math.max(1, now.atMs - before.atMs)) * 100;
  return { count: all.length, memoryBytes, cpu: Math.round(cpu * 10) / 10 };
}

/** One that started since, also under a pid that was used again, has used all of its time since. */
function cpuBefore({ pid, started }: ProcessUsage, { byPid }: UsageSample): number {
  const known = byPid.get(pid);
  return known?.started === started ? known.cpuMs : 0;
}

/** Linux counts the CPU of a process in hundredths of a second, on every machine. */
const tickMs = 10;

function walk(): ProcessUsage[] {
  // Read at once and in turn: the files are made by the kernel as they are read, and a promise each would cost more.
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    const fields = readStat(entry);
    if (fields === undefined) return [];
    const [, parent, , , , , , , , , , user, system, , , , , , , started = "", , pages] = fields;
    return [
      {
        pid: Number(entry),
        parent: Number(parent),
        started,
        cpuMs: (Number(user) + Number(system)) * tickMs,
        memoryBytes: Number(pages) * pageBytes(),
      },
    ];
  });
}

/** Such a file is some hundred bytes long. */
const buffer = Buffer.alloc(4096);

/** The fields behind the program's name, which stands in parentheses and may hold blanks. */
function readStat(pid: string): string[] | undefined {
  try {
    const file = openSync(`/proc/${pid}/stat`, "r");
    try {
      const text = buffer.toString("latin1", 0, readSync(file, buffer, 0, buffer.length, 0));
      return text.slice(text.lastIndexOf(")") + 2).split(" ");
    } finally {
      closeSync(file);
    }
  } catch {
    // It ended since the folder was read.
    return undefined;
  }
}

let page: number | undefined;

/** How large a page of memory is: what Node says of our own size, by what the kernel counts in pages. */
function pageBytes(): number {
  if (page === undefined) {
    const pages = Number(readStat("self")?.[21] ?? 0);
    page = pages === 0 ? 4096 : 2 ** Math.round(Math.log2(process.memoryUsage.rss() / pages));
  }
  return page;
}

async function askPs(): Promise<ProcessUsage[]> {
  const columns = ["pid=", "ppid=", "rss=", "time=", "lstart="].flatMap((column) => ["-o", column]);
  const { stdout } = await run("ps", ["-A", ...columns], {
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 64 * 1024 * 1024,
  });
  return readPs(stdout);
}

/** Reads what `ps` prints: pid, parent, kilobytes, CPU time (`[[days-]hours:]minutes:seconds`), start. */
export function readPs(text: string): ProcessUsage[] {
  return text.split("\n").flatMap((line) => {
    const [, pid, parent, kilobytes, time = "", started = ""] =
      /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    if (pid === undefined) return [];
    const [clock = "", days = "0"] = time.split("-").reverse();
    const seconds = clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
    const cpuMs = Math.round((Number(days) * 86_400 + seconds) * 1000);
    return [{ pid: Number(pid), parent: Number(parent), started, cpuMs, memoryBytes: Number(kilobytes) * 1024 }];
  });
}
