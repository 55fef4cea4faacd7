import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "minio";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../shared/config-schema.ts";
import { homePaths, isRoot } from "../shared/paths.ts";
import { openHarness, type TestHarness, writeProject } from "../testing/harness.ts";
import { findChromium } from "./embedded/chromium.ts";
import { resolveInfra } from "./resolve.ts";
import { withSql } from "./sql.ts";

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
let harness: TestHarness;
let folder: string;
let browsers: string;

const up = () => harness.harness(folder, "infra", "up");
const resize = (size: string) => run("mount", ["-o", `remount,size=${size}`, harness.home]);
const filler = (): string => join(harness.home, "filler");

/** Leaves this many bytes of the disk free. */
async function fill(leaveBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(harness.home);
  await writeFile(filler(), Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
}

beforeAll(async () => {
  if (!mountable) return;
  harness = await openHarness();
  // A browser that has to be unpacked would be larger than the whole disk; where that is done does not matter here.
  browsers = await mkdtemp(join(tmpdir(), "ah-browser-"));
  harness.env["AGENT_HARNESS_CHROMIUM"] = (await findChromium({ folder: browsers })).path;
  await run("mount", ["-t", "tmpfs", "-o", "size=20m,mode=0711", "tmpfs", harness.home]);
  folder = await writeProject();
});
afterAll(async () => {
  if (!mountable) return;
  await rm(filler(), { force: true });
  await harness.harness(folder, "infra", "down", "--force");
  await run("umount", [harness.home]);
  await harness[Symbol.asyncDispose]();
  for (const path of [folder, browsers]) await rm(path, { recursive: true, force: true });
});

describe.runIf(mountable)("a full disk", () => {
  it.each([
    { size: "20m", where: "the programs of Postgres do not fit" },
    { size: "80m", where: "its data does not fit" },
  ])("is what infra up reports when $where, and nothing half made is taken for whole", async ({ size }) => {
    await resize(size);
    const { exitCode, stderr } = await up();
    expect(exitCode, stderr).toBe(6);
    expect(stderr).toContain("error DISK_FULL");
    expect(stderr).toMatch(/next: Free some space/);
    const paths = homePaths(harness.home);
    expect(existsSync(paths.postgresData)).toBe(false);
    expect((await readdir(join(harness.home, "postgres"))).filter((name) => name !== "bin")).toEqual([]);
    expect(await readdir(paths.postgresBinaries)).not.toContain("unpacking");
  });

  it("is over when there is space: the same command goes on", async () => {
    await resize("300m");
    const { exitCode, stderr } = await up();
    expect(exitCode, stderr).toBe(0);
  });

  it("loses no object and shows none that is half written", async () => {
    const { s3 } = await resolveInfra(homePaths(harness.home), configSchema.parse({}).infra, harness.env);
    const client = new Client({
      endPoint: "127.0.0.1",
      port: s3.port,
      useSSL: false,
      accessKey: s3.accessKey,
      secretKey: s3.secretKey,
      region: s3.region,
      retryOptions: { disableRetry: true },
    });
    const [small, large] = [randomBytes(1000), randomBytes(4 * 1024 * 1024)];
    await client.putObject("default", "kept", small);
    await fill(1024 * 1024);
    await expect(client.putObject("default", "kept", large)).rejects.toMatchObject({ code: "XMinioStorageFull" });
    await expect(client.putObject("default", "new", large)).rejects.toMatchObject({ code: "XMinioStorageFull" });
    await rm(filler());
    expect((await client.statObject("default", "kept")).size).toBe(small.length);
    await expect(client.statObject("default", "new")).rejects.toMatchObject({ code: "NotFound" });
    await client.putObject("default", "kept", large);
    await client.removeObject("default", "kept");
  });

  it("while the template database is built leaves none, and the next setup builds it", async () => {
    const { postgres } = await resolveInfra(homePaths(harness.home), configSchema.parse({}).infra, harness.env);
    const databases = () =>
      withSql(postgres, "postgres", (sql) =>
        sql.query("SELECT datname FROM pg_database WHERE datname LIKE 'ah!_%' ESCAPE '!'"),
      );
    await fill(2 * 1024 * 1024);
    // Without room for its log Postgres stops altogether; what it said last is what the next command shows.
    const failed = await harness.harness(folder, "setup");
    expect(failed.exitCode, failed.stderr).toBe(6);
    expect(failed.stderr).toMatch(/error (DISK_FULL|POSTGRES_UNAVAILABLE)/);
    const still = await up();
    expect(still.exitCode, still.stderr).toBe(6);
    expect(still.stderr).toMatch(/No space left on device|error DISK_FULL/);
    await rm(filler());
    const mended = await up();
    expect(mended.exitCode, mended.stderr).toBe(0);
    expect((await databases()).rows.filter((row) => !String(row["datname"]).startsWith("ah_build_"))).toEqual([]);
    const again = await harness.harness(folder, "setup");
    expect(again.exitCode, again.stderr).toBe(0);
    expect((await databases()).rows).toHaveLength(3);
  });
});
