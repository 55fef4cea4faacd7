import { statfs } from "node:fs/promises";
import { cpus } from "node:os";
import { type Memory, machineMemory } from "./memory.ts";

/** How busy this machine is. */
export interface MachineUse {
  /** Percent of all cores together since the look before; absent at the first one. */
  cpu?: number;
  cores: number;
  memory: Memory;
  /** Of the file system that holds a folder; absent where it cannot be asked. */
  disk?: { totalBytes: number; availableBytes: number };
}

/** How long memory and disk are taken for what they were, in ms. */
const slowMs = 3000;

/** Looks at the machine again and again; the CPU is that between two looks. */
export function openMachine(folder: string): () => Promise<MachineUse> {
  let before: CpuTime | undefined;
  let slow: (Pick<MachineUse, "memory" | "disk"> & { at: number }) | undefined;
  return async () => {
    const now = cpuTime();
    const cpu = before === undefined ? undefined : busyPercent(before, now);
    before = now;
    if (slow === undefined || performance.now() - slow.at > slowMs) {
      const [memory, disk] = await Promise.all([machineMemory(), diskOf(folder)]);
      slow = { memory, ...(disk === undefined ? {} : { disk }), at: performance.now() };
    }
    const { at: _, ...rest } = slow;
    return { ...(cpu === undefined ? {} : { cpu }), cores: now.cores, ...rest };
  };
}

interface CpuTime {
  cores: number;
  busyMs: number;
  allMs: number;
}

function cpuTime(): CpuTime {
  const all = cpus().map(({ times }) => ({ idle: times.idle, all: Object.values(times).reduce((a, b) => a + b, 0) }));
  const sum = (of: (one: { idle: number; all: number }) => number): number => all.reduce((a, one) => a + of(one), 0);
  return { cores: all.length, busyMs: sum((one) => one.all - one.idle), allMs: sum((one) => one.all) };
}

function busyPercent(before: CpuTime, now: CpuTime): number {
  const passed = now.allMs - before.allMs;
  return passed <= 0 ? 0 : Math.round(((now.busyMs - before.busyMs) / passed) * 100);
}

async function diskOf(folder: string): Promise<MachineUse["disk"]> {
  try {
    const { blocks, bavail, bsize } = await statfs(folder);
    return { totalBytes: blocks * bsize, availableBytes: bavail * bsize };
  } catch {
    // Not there yet: nothing was ever launched here.
    return undefined;
  }
}
