import { execFile } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findChromium } from "../../infra/embedded/chromium.ts";
import { isRoot } from "../../shared/paths.ts";
import { s3Client } from "../../testing/objects.ts";
import { openSmall, type SmallHarness, smallConfig } from "../../testing/small.ts";
import { until } from "../../testing/until.ts";

/* A real disk that is really full: a small tmpfs as the harness's home. Only root may mount one, and not in every container. */

const run = promisify(execFile);

async function canMount(): Promise<boolean> {
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

const mountable = await canMount();
let h: SmallHarness;
let repo: string;
let browsers: string;

const filler = (): string => join(h.home, "filler");

/** Leaves this many bytes of the disk free. */
async function fill(leaveBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(h.home);
  await writeFile(filler(), Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
}

const notes = async () => (await h.sql("agent_29", "select text from notes order by id")).map((row) => row["text"]);
const traces = async () => [
  ...(await h.sql("postgres", "select datname from pg_database where datname ~ '^ah_(snap|copy)_' order by 1")).map(
    (row) => row["datname"],
  ),
  ...(await s3Client((await h.infra()).s3).listBuckets())
    .map((one) => one.name)
    .filter((name) => name.includes("-snap-")),
];

beforeAll(async () => {
  if (!mountable) return;
  h = await openSmall();
  // A browser that has to be unpacked would be larger than the whole disk; where that is done does not matter here.
  browsers = await mkdtemp(join(tmpdir(), "ah-browser-"));
  h.env["AGENT_HARNESS_CHROMIUM"] = (await findChromium({ folder: browsers })).path;
  await run("mount", ["-t", "tmpfs", "-o", "size=400m,mode=0711", "tmpfs", h.home]);
  // Without room for its log Postgres stops altogether; copied by files, a database goes past the log.
  const config = smallConfig().replace("  pool: 0", "  pool: 0\n  strategy: file_copy");
  repo = await h.project({ "agent-harness.yml": config });
  await h.ok(repo, "launch", "29");
});
afterAll(async () => {
  if (!mountable) return;
  await rm(filler(), { force: true });
  await h.ok(repo, "teardown-all", "--everywhere", "--no-snapshot");
  await h.ok(repo, "infra", "down", "--force");
  await run("umount", [h.home]);
  await h[Symbol.asyncDispose]();
  await rm(browsers, { recursive: true, force: true });
});

describe.runIf(mountable)("a full disk", () => {
  it("is what a save reports; it leaves nothing of itself, and the stack goes on", async () => {
    await h.sql("agent_29", "insert into notes (text) values ('mine')");
    await fill(4 * 1024 * 1024);
    const error = await h.refused(repo, "snapshot", "save", "29", "one");
    expect(error).toMatchObject({ exitCode: 6, code: "DISK_FULL", hint: expect.stringContaining("Free some space") });
    expect(await traces()).toEqual([]);
    expect(await notes()).toEqual(["seed", "mine"]);
    expect(await h.ask(repo, "29", "health")).toMatchObject({ healthy: true });
    await rm(filler());
    await h.ok(repo, "snapshot", "save", "29", "one");
    expect(await traces()).toEqual(["ah_snap_29_one"]);
  });

  it("is what a restore reports before it has taken anything away", async () => {
    await h.sql("agent_29", "insert into notes (text) values ('later')");
    const pids = await h.pids(29);
    await fill(4 * 1024 * 1024);
    expect(await h.refused(repo, "snapshot", "restore", "29", "one")).toMatchObject({ exitCode: 6, code: "DISK_FULL" });
    expect(await notes()).toEqual(["seed", "mine", "later"]);
    expect(await h.pids(29)).toEqual(pids);
    expect((await h.ledger(29)).status).toBe("ready");
    await rm(filler());
    await h.ok(repo, "snapshot", "restore", "29", "one");
    expect(await notes()).toEqual(["seed", "mine"]);
  });

  it("does not stop a teardown from keeping the database: it only gets another name", async () => {
    await h.sql("agent_29", "insert into notes (text) values ('last')");
    await fill(4 * 1024 * 1024);
    await h.ok(repo, "teardown", "29");
    await rm(filler());
    await h.ok(repo, "launch", "29");
    await h.ok(repo, "snapshot", "restore", "29", "before-teardown");
    expect(await notes()).toEqual(["seed", "mine", "last"]);
    await until("the trash is emptied", async () => {
      const rows = await h.sql("postgres", "select 1 from pg_database where starts_with(datname, 'ah_trash_')");
      return rows.length === 0;
    });
  });
});
