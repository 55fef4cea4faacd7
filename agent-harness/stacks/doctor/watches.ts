import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { type Check, fine, found, type Mendable } from "./finding.ts";

/** How many of something of the kernel's there may be, and are. */
export interface Usage {
  used: number;
  limit: number;
}

/** With fewer, the watcher of one larger project takes them all. */
const fewWatches = 65_536;

/** The kernel's limits on watching files, which are for all programs of a user together. Only Linux has them. */
export const checkWatches: Check = async () => {
  const [watches, instances] = await Promise.all(["max_user_watches", "max_user_instances"].map(readLimit));
  if (watches === undefined || instances === undefined) return [];
  const used = await countInotify();
  return [
    judgeWatches({ used: used.watches, limit: watches }),
    judgeInstances({ used: used.instances, limit: instances }),
  ];
};

/** What to say of inotify watches. */
export function judgeWatches({ used, limit }: Usage): Mendable {
  const text = `${used} of ${limit} inotify watches used`;
  const full = used > 0.8 * limit;
  if (!full && limit >= fewWatches) return fine("DOCTOR_WATCHES", text);
  return found("DOCTOR_WATCHES", full ? "warning" : "note", {
    what: text,
    cause: full
      ? "the next watcher may fail with ENOSPC"
      : "the watchers of a few stacks take them all, and fail with ENOSPC",
    fix: "sudo sysctl fs.inotify.max_user_watches=524288 (for good: in /etc/sysctl.d/)",
  });
}

/** What to say of inotify instances: each watcher has one. */
export function judgeInstances({ used, limit }: Usage): Mendable {
  const text = `${used} of ${limit} inotify instances used`;
  if (used <= 0.8 * limit) return fine("DOCTOR_WATCHES", text);
  return found("DOCTOR_WATCHES", "warning", {
    what: text,
    cause: "the next watcher may fail with EMFILE",
    fix: "sudo sysctl fs.inotify.max_user_instances=1024 (for good: in /etc/sysctl.d/)",
  });
}

async function readLimit(name: string): Promise<number | undefined> {
  const text = await readFile(`/proc/sys/fs/inotify/${name}`, "utf8").catch(() => undefined);
  return text === undefined ? undefined : Number(text);
}

/** What the programs of this user have, as far as the system lets us look. */
async function countInotify(): Promise<{ watches: number; instances: number }> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const files = (await Promise.all(pids.map(inotifyFiles))).flat();
  const counts = await Promise.all(files.map(countWatches));
  return { instances: files.length, watches: counts.reduce((sum, one) => sum + one, 0) };
}

async function inotifyFiles(pid: string): Promise<string[]> {
  try {
    if ((await stat(`/proc/${pid}`)).uid !== process.getuid?.()) return [];
    const names = await readdir(`/proc/${pid}/fd`);
    const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
    return names.filter((_, at) => links[at] === "anon_inode:inotify").map((name) => `/proc/${pid}/fdinfo/${name}`);
  } catch {
    // It ended meanwhile, or is not ours to look into.
    return [];
  }
}

async function countWatches(file: string): Promise<number> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").filter((line) => line.startsWith("inotify ")).length;
}
