import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** How much memory there is, and how much of it programs may still take. */
export interface Memory {
  totalBytes: number;
  availableBytes: number;
}

/** The memory of this machine, or of the container that we run in where that is less. */
export async function machineMemory(): Promise<Memory> {
  if (process.platform === "darwin") return await memoryOfMac();
  const text = await readFile("/proc/meminfo", "utf8").catch(() => "");
  const machine = readMeminfo(text) ?? { totalBytes: totalmem(), availableBytes: freemem() };
  return [machine, ...(await cgroupLimits())].reduce((least, one) => ({
    totalBytes: Math.min(least.totalBytes, one.totalBytes),
    availableBytes: Math.min(least.availableBytes, one.availableBytes),
  }));
}

/** What /proc/meminfo says; undefined where it does not say it. */
export function readMeminfo(text: string): Memory | undefined {
  const kilobytes = (key: string): number | undefined => {
    const found = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
    return found === undefined ? undefined : Number(found) * 1024;
  };
  const [totalBytes, availableBytes] = [kilobytes("MemTotal"), kilobytes("MemAvailable")];
  return totalBytes === undefined || availableBytes === undefined ? undefined : { totalBytes, availableBytes };
}

/** The limits of our control group and of all above it: each may be the one that is reached first. */
async function cgroupLimits(): Promise<Memory[]> {
  const text = await readFile("/proc/self/cgroup", "utf8").catch(() => "");
  const limits = await Promise.all(cgroupFolders(text).map(readCgroup));
  return limits.flatMap((one) => one ?? []);
}

/** Where a limit on our memory may stand, by what /proc/self/cgroup says; of both versions. */
export function cgroupFolders(text: string): string[] {
  const found = text.split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined || controllers === undefined) return [];
    if (controllers === "") return [{ root: "/sys/fs/cgroup", path }];
    return controllers.split(",").includes("memory") ? [{ root: "/sys/fs/cgroup/memory", path }] : [];
  });
  return found.flatMap(({ root, path }) => [...parentsOf(path)].map((one) => join(root, one === "/" ? "" : one)));
}

/** The path and every one above it. In a container the lower ones may not be there; its own root is. */
function* parentsOf(path: string): Generator<string> {
  for (let one = path; ; one = dirname(one)) {
    yield one;
    if (one === "/") return;
  }
}

async function readCgroup(folder: string): Promise<Memory | undefined> {
  const read = async (...names: string[]): Promise<string> => {
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8").catch(() => "")));
    return texts.find((text) => text !== "") ?? "";
  };
  return readLimit({
    limit: await read("memory.max", "memory.limit_in_bytes"),
    usage: await read("memory.current", "memory.usage_in_bytes"),
    stat: await read("memory.stat"),
  });
}

/** A control group's limit and what is left of it; undefined where there is none (`max`, or more than any machine has). */
export function readLimit(files: { limit: string; usage: string; stat: string }): Memory | undefined {
  const number = (text: string): number => (/^\d+\s*$/.test(text) ? Number(text) : Number.NaN);
  const [limit, usage] = [number(files.limit), number(files.usage)];
  if (Number.isNaN(limit) || Number.isNaN(usage) || limit > 2 ** 60) return undefined;
  // Files read once are counted as used, and given up before a program goes without.
  const cached = /^(?:total_)?inactive_file (\d+)$/gm;
  const reclaimable = Math.max(0, ...[...files.stat.matchAll(cached)].map((one) => Number(one[1])));
  return { totalBytes: limit, availableBytes: Math.max(0, limit - usage + reclaimable) };
}

async function memoryOfMac(): Promise<Memory> {
  // Without vm_stat we know of less than there is, never of more.
  const { stdout } = await run("vm_stat", []).catch(() => ({ stdout: "" }));
  return { totalBytes: totalmem(), availableBytes: freemem() + inactiveOfVmStat(stdout) };
}

/** The inactive pages in what `vm_stat` prints, in bytes. */
export function inactiveOfVmStat(text: string): number {
  const page = Number(/page size of (\d+) bytes/.exec(text)?.[1] ?? 0);
  return page * Number(/^Pages inactive:\s+(\d+)/m.exec(text)?.[1] ?? 0);
}

/**
 * The memory of a process, with what it shares with others counted in parts (PSS), so that the sum over many is true;
 * undefined where the system does not tell: it is gone, another user's, or there is no /proc.
 */
export async function sharedFairly(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  const found = /^Pss:\s+(\d+) kB$/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found) * 1024;
}
