import { expect, test } from "vitest";
import {
  agentIds,
  beforeTeardown,
  bucketName,
  copyDatabaseName,
  databaseName,
  parseSnapshotName,
  snapshotBucketName,
  snapshotBucketPrefix,
  snapshotDatabaseName,
  snapshotDatabasePrefix,
  snapshotSlug,
} from "./names.ts";

const odd = [
  "a",
  "A",
  "a b",
  "a-b",
  "a_b",
  "a--b",
  "-a-b",
  "ä-b",
  "日本語",
  "🙂",
  "🙃",
  "before migration!",
  "before-migration",
  "1",
  "12345678",
  "x-deadbeef",
  "x".repeat(40),
  "x".repeat(41),
  "x".repeat(80),
  `${"x".repeat(79)}y`,
  `${"x-".repeat(39)}x`,
];

test("a plain name stands for itself", () => {
  expect(snapshotSlug("before-migration-2")).toBe("before-migration-2");
  expect(snapshotDatabaseName(3, "before-migration-2")).toBe("ah_snap_3_before_migration_2");
  expect(snapshotBucketName(3, "before-migration-2", "12ab34cd")).toBe("agent-3-snap-before-migration-2-12ab34cd");
  expect(snapshotDatabaseName(3, beforeTeardown)).toBe("ah_snap_3_before_teardown");
});

test("no two names have the same database, nor a name the one that another one is cut to", () => {
  const all = [...odd, ...odd.map(snapshotSlug)];
  const databases = new Map(all.map((name) => [name, snapshotDatabaseName(7, name)]));
  expect(new Set(databases.values()).size).toBe(databases.size);
});

test.each(odd)("the names of %j fit: 63 bytes of Postgres, 63 characters of S3", (name) => {
  const database = snapshotDatabaseName(agentIds.max, name);
  expect(Buffer.byteLength(database)).toBeLessThanOrEqual(63);
  expect(database).toMatch(/^ah_snap_99_[a-z0-9_]*[a-z0-9]$/);
  const bucket = snapshotBucketName(agentIds.max, name, "12ab34cd");
  expect(bucket).toMatch(/^agent-99-snap-[a-z0-9][a-z0-9-]{0,47}[a-z0-9]$/);
  expect(bucket.length).toBeLessThanOrEqual(63);
});

test("nothing of agent 1 begins like that of agent 10, nor like an agent's own", () => {
  expect(snapshotDatabaseName(10, "x").startsWith(snapshotDatabasePrefix(1))).toBe(false);
  expect(snapshotBucketName(10, "x", "12ab34cd").startsWith(snapshotBucketPrefix(1))).toBe(false);
  expect(copyDatabaseName(1, "12ab34cd")).toMatch(/^ah_copy_1_12ab34cd$/);
  for (const name of odd) {
    expect([databaseName(1), bucketName(1)]).not.toContain(snapshotDatabaseName(1, name));
    expect(snapshotBucketName(1, name, "12ab34cd").startsWith(snapshotBucketPrefix(1))).toBe(true);
  }
});

test("a name may be of any language and is trimmed; what is empty, too long or has control characters is refused", () => {
  expect(parseSnapshotName(" vor dem Umbau – 日本語 🙂 ")).toBe("vor dem Umbau – 日本語 🙂");
  for (const bad of ["", "  ", "a\nb", "a\u0000b", "\u200fx", "x".repeat(81)]) {
    expect(() => parseSnapshotName(bad), JSON.stringify(bad)).toThrow(
      expect.objectContaining({ code: "USAGE", hint: expect.stringContaining("agent-harness snapshot save") }),
    );
  }
});
