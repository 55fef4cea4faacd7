import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "minio";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configSchema } from "../shared/config-schema.ts";
import { homePaths } from "../shared/paths.ts";
import { openHarness, type TestHarness, writeProject } from "../testing/harness.ts";
import { canMount, mountHome, type SmallDisk } from "../testing/small-disk.ts";
import { resolveInfra } from "./resolve.ts";
import { withSql } from "./sql.ts";

const mountable = await canMount();
let harness: TestHarness;
let folder: string;
let disk: SmallDisk;

const up = () => harness.harness(folder, "infra", "up");
beforeAll(async () => {
  if (!mountable) return;
  harness = await openHarness();
  disk = await mountHome(harness, "20m");
  folder = await writeProject();
});
afterAll(async () => {
  if (!mountable) return;
  await disk.free();
  await harness.harness(folder, "infra", "down", "--force");
  await disk.unmount();
  await harness[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe.runIf(mountable)("a full disk", () => {
  it.each([
    { size: "20m", where: "the programs of Postgres do not fit" },
    { size: "80m", where: "its data does not fit" },
  ])("is what infra up reports when $where, and nothing half made is taken for whole", async ({ size }) => {
    await disk.resize(size);
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
    await disk.resize("300m");
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
    await disk.fill(1024 * 1024);
    await expect(client.putObject("default", "kept", large)).rejects.toMatchObject({ code: "XMinioStorageFull" });
    await expect(client.putObject("default", "new", large)).rejects.toMatchObject({ code: "XMinioStorageFull" });
    await disk.free();
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
    await disk.fill(2 * 1024 * 1024);
    // Without room for its log Postgres stops altogether; what it said last is what the next command shows.
    const failed = await harness.harness(folder, "setup");
    expect(failed.exitCode, failed.stderr).toBe(6);
    expect(failed.stderr).toMatch(/error (DISK_FULL|POSTGRES_UNAVAILABLE)/);
    const still = await up();
    expect(still.exitCode, still.stderr).toBe(6);
    expect(still.stderr).toMatch(/No space left on device|error DISK_FULL/);
    await disk.free();
    const mended = await up();
    expect(mended.exitCode, mended.stderr).toBe(0);
    expect((await databases()).rows.filter((row) => !String(row["datname"]).startsWith("ah_build_"))).toEqual([]);
    const again = await harness.harness(folder, "setup");
    expect(again.exitCode, again.stderr).toBe(0);
    expect((await databases()).rows).toHaveLength(3);
  });
});
