import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { canReflink, chooseStrategy } from "./strategy.ts";

const MB = 1024 * 1024;

describe("chooseStrategy", () => {
  // Every row was measured to be the fastest of its server, file system and size.
  it.each([
    { major: 18, fsync: true, reflink: true, sizeMb: 10, strategy: "clone", because: "reflinks" },
    { major: 18, fsync: true, reflink: true, sizeMb: 124, strategy: "clone", because: "reflinks" },
    { major: 18, fsync: false, reflink: true, sizeMb: 1100, strategy: "clone", because: "reflinks" },
    { major: 18, fsync: false, reflink: false, sizeMb: 10, strategy: "file_copy", because: "fsync is off" },
    { major: 16, fsync: false, reflink: true, sizeMb: 124, strategy: "file_copy", because: "fsync is off" },
    { major: 15, fsync: true, reflink: false, sizeMb: 10, strategy: "wal_log", because: "small (10 MB)" },
    { major: 18, fsync: true, reflink: false, sizeMb: 63, strategy: "wal_log", because: "small (63 MB)" },
    { major: 18, fsync: true, reflink: false, sizeMb: 64, strategy: "file_copy", because: "large (64 MB)" },
    { major: 15, fsync: true, reflink: true, sizeMb: 124, strategy: "file_copy", because: "large (124 MB)" },
  ])(
    "takes $strategy on $major, fsync $fsync, reflink $reflink, $sizeMb MB",
    ({ sizeMb, strategy, because, ...facts }) => {
      const chosen = chooseStrategy(facts, sizeMb * MB, "auto");
      expect(chosen.strategy).toBe(strategy);
      expect(chosen.reason).toContain(because);
    },
  );

  it("does as it is told, unless the server cannot", () => {
    const facts = { major: 18, fsync: true, reflink: false };
    expect(chooseStrategy(facts, MB, "clone")).toEqual({ strategy: "clone", reason: "configured" });
    expect(chooseStrategy(facts, 500 * MB, "wal_log").strategy).toBe("wal_log");
    const older = chooseStrategy({ ...facts, major: 16 }, MB, "clone");
    expect(older).toEqual({
      strategy: "file_copy",
      reason: "clone is configured, but Postgres 16 has no file_copy_method",
    });
  });
});

describe("canReflink", () => {
  it("says the same to all who ask at once, and leaves no file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ah-reflink-"));
    const alone = await canReflink(folder);
    const together = await Promise.all(Array.from({ length: 20 }, () => canReflink(folder)));
    expect(new Set(together)).toEqual(new Set([alone]));
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });
});
