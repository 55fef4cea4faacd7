import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openS3Client } from "../../testing/s3-client.ts";
import { openSmall, type SmallHarness, smallConfig } from "../../testing/small.ts";
import { canMount, mountHome, type SmallDisk } from "../../testing/small-disk.ts";
import { until } from "../../testing/until.ts";

const mountable = await canMount();
let h: SmallHarness;
let repo: string;
let disk: SmallDisk;

const notes = async () => (await h.sql("agent_29", "select text from notes order by id")).map((row) => row["text"]);
const traces = async () => [
  ...(await h.sql("postgres", "select datname from pg_database where datname ~ '^ah_(snap|copy)_' order by 1")).map(
    (row) => row["datname"],
  ),
  ...(await openS3Client((await h.infra()).s3).listBuckets())
    .map((one) => one.name)
    .filter((name) => name.includes("-snap-")),
];

beforeAll(async () => {
  if (!mountable) return;
  h = await openSmall();
  disk = await mountHome(h, "400m");
  // Without room for its log Postgres stops altogether; copied by files, a database goes past the log.
  const config = smallConfig().replace("  pool: 0", "  pool: 0\n  strategy: file_copy");
  repo = await h.project({ "agent-harness.yml": config });
  await h.ok(repo, "launch", "29");
});
afterAll(async () => {
  if (!mountable) return;
  await disk.free();
  await h.ok(repo, "teardown-all", "--everywhere", "--no-snapshot");
  await h.ok(repo, "infra", "down", "--force");
  await disk.unmount();
  await h[Symbol.asyncDispose]();
});

describe.runIf(mountable)("a full disk", () => {
  it("is what a save reports; it leaves nothing of itself, and the stack goes on", async () => {
    await h.sql("agent_29", "insert into notes (text) values ('mine')");
    await disk.fill(4 * 1024 * 1024);
    const error = await h.refused(repo, "snapshot", "save", "29", "one");
    expect(error).toMatchObject({ exitCode: 6, code: "DISK_FULL", hint: expect.stringContaining("Free some space") });
    expect(await traces()).toEqual([]);
    expect(await notes()).toEqual(["seed", "mine"]);
    expect(await h.ask(repo, "29", "health")).toMatchObject({ healthy: true });
    await disk.free();
    await h.ok(repo, "snapshot", "save", "29", "one");
    expect(await traces()).toEqual(["ah_snap_29_one"]);
  });

  it("is what a restore reports before it has taken anything away", async () => {
    await h.sql("agent_29", "insert into notes (text) values ('later')");
    const pids = await h.pids(29);
    await disk.fill(4 * 1024 * 1024);
    expect(await h.refused(repo, "snapshot", "restore", "29", "one")).toMatchObject({ exitCode: 6, code: "DISK_FULL" });
    expect(await notes()).toEqual(["seed", "mine", "later"]);
    expect(await h.pids(29)).toEqual(pids);
    expect((await h.ledger(29)).status).toBe("ready");
    await disk.free();
    await h.ok(repo, "snapshot", "restore", "29", "one");
    expect(await notes()).toEqual(["seed", "mine"]);
  });

  it("does not stop a teardown from keeping the database: it only gets another name", async () => {
    await h.sql("agent_29", "insert into notes (text) values ('last')");
    await disk.fill(4 * 1024 * 1024);
    await h.ok(repo, "teardown", "29");
    await disk.free();
    await h.ok(repo, "launch", "29");
    await h.ok(repo, "snapshot", "restore", "29", "before-teardown");
    expect(await notes()).toEqual(["seed", "mine", "last"]);
    await until("the trash is emptied", async () => {
      const rows = await h.sql("postgres", "select 1 from pg_database where starts_with(datname, 'ah_trash_')");
      return rows.length === 0;
    });
  });
});
