import { execFile } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findChromium } from "../infra/embedded/chromium.ts";
import { isRoot } from "../shared/paths.ts";

/* A real disk that is really full: a small tmpfs as the harness's home. Only root may mount one, and not in every container. */

const run = promisify(execFile);

/** A small disk that a folder lies on. */
export interface SmallDisk {
  /** Leaves this many bytes free. */
  fill: (leaveBytes: number) => Promise<void>;
  /** Makes the room again that `fill` took. */
  free: () => Promise<void>;
  resize: (size: string) => Promise<void>;
  unmount: () => Promise<void>;
}

/** Whether this machine lets us mount one. */
export async function canMount(): Promise<boolean> {
  if (process.platform !== "linux" || !isRoot()) return false;
  const folder = await mkdtemp(join(tmpdir(), "ah-mount-"));
  try {
    await run("mount", ["-t", "tmpfs", "tmpfs", folder]);
    await run("umount", [folder]);
    return true;
  } catch {
    // A container without the capability.
    return false;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Puts an empty harness home on a disk of this size, with a browser that lies elsewhere: unpacked, it is larger than the disk. */
export async function mountHome(
  h: { home: string; env: Record<string, string | undefined> },
  size: string,
): Promise<SmallDisk> {
  const browsers = await mkdtemp(join(tmpdir(), "ah-browser-"));
  h.env["AGENT_HARNESS_CHROMIUM"] = (await findChromium({ folder: browsers })).path;
  await run("mount", ["-t", "tmpfs", "-o", `size=${size},mode=0711`, "tmpfs", h.home]);
  const filler = join(h.home, "filler");
  return {
    fill: async (leaveBytes) => {
      const { bavail, bsize } = await statfs(h.home);
      await writeFile(filler, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
    },
    free: () => rm(filler, { force: true }),
    resize: async (to) => {
      await run("mount", ["-o", `remount,size=${to}`, h.home]);
    },
    unmount: async () => {
      await run("umount", [h.home]);
      await rm(browsers, { recursive: true, force: true });
    },
  };
}
