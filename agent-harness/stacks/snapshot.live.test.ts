import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { objectsIn } from "../testing/objects.ts";
import { openS3Client } from "../testing/s3-client.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { until } from "../testing/until.ts";

let h: SmallHarness;
let repo: string;
let s3: Client;

beforeAll(async () => {
  h = await openSmall();
  const afterClone = "    - sql: INSERT INTO notes (text) VALUES ('after')";
  repo = await h.project({ "agent-harness.yml": smallConfig({ afterClone }) });
  await h.ok(repo, "setup");
  s3 = openS3Client((await h.infra()).s3);
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const notes = async (id: number) =>
  (await h.sql(`agent_${id}`, "select text from notes order by id")).map((row) => row["text"]);
const write = (id: number, text: string) => h.sql(`agent_${id}`, `insert into notes (text) values ('${text}')`);
const put = (id: number, key: string, text: string, metaData = {}) =>
  s3.putObject(`agent-${id}`, key, text, Buffer.byteLength(text), metaData);
const names = async (...argv: string[]) =>
  (JSON.parse((await h.ok(repo, "snapshot", "list", ...argv, "--json")).stdout) as { id: number; name: string }[]).map(
    ({ id, name }) => `${id} ${name}`,
  );
/** Databases and buckets that are of snapshots, or were on the way to it. */
const traces = async () => [
  ...(await h.sql("postgres", "select datname from pg_database where datname ~ '^ah_(snap|copy)_' order by 1")).map(
    (row) => row["datname"],
  ),
  ...(await s3.listBuckets()).map((one) => one.name).filter((name) => name.includes("-snap-")),
];

/** Keys that some part of the way may read as something else. */
const oddKeys = [
  "007",
  "1e5",
  "0x10",
  "true",
  " lead",
  "trail ",
  "a//b",
  "/slash",
  "folder/",
  "..",
  "a/../b",
  "x?y=1&z#",
]
  .concat(["100%", "%2F", "plus+plus", "日本語🙂", 'it\'s "q" <&>', "back\\slash", "new\nline", "\u0001", "__proto__"])
  .concat(["x/.agent-harness.json", "k".repeat(900)]);
/** Old databases are dropped behind the launch that put them away. */
const noTrash = () =>
  until("the trash is emptied", async () => {
    const rows = await h.sql("postgres", "select 1 from pg_database where starts_with(datname, 'ah_trash_')");
    return rows.length === 0;
  });

test("what was saved comes back: rows, and objects with any key and their metadata; the snapshot stays", async () => {
  await h.ok(repo, "launch", "21");
  await write(21, "mine");
  for (const key of oddKeys)
    await put(21, key, `text of ${key}`, { "Content-Type": "text/odd", "X-Amz-Meta-By": "me" });
  const before = await objectsIn(s3, "agent-21");
  expect(Object.keys(before).sort()).toEqual([...oddKeys].sort());
  const pids = await h.pids(21);
  await h.ok(repo, "snapshot", "save", "21", "Vor dem Umbau 🙂");
  // The stack went on.
  expect(await h.pids(21)).toEqual(pids);

  for (let round = 0; round < 2; round += 1) {
    await write(21, "spoilt");
    await put(21, "007", "spoilt");
    await put(21, "new", "spoilt");
    await s3.removeObject("agent-21", "a//b");
    const { stdout } = await h.ok(repo, "snapshot", "restore", "21", "Vor dem Umbau 🙂");
    expect(stdout).toContain("Agent 21 has the data of its snapshot Vor dem Umbau 🙂");
    // What runs after a clone did not run again.
    expect(await notes(21)).toEqual(["seed", "after", "mine"]);
    expect(await objectsIn(s3, "agent-21")).toEqual(before);
  }
  for (const [name, pid] of Object.entries(await h.pids(21))) expect(pid).not.toBe(pids[name]);
  expect(await h.ask(repo, "21", "health")).toMatchObject({ healthy: true });
  expect(await names("21")).toEqual(["21 Vor dem Umbau 🙂"]);
  // A restore is a new database for whatever looks at it: it can be written to, saved and launched over.
  await h.ok(repo, "launch", "21");
  expect(await notes(21)).toEqual(["seed", "after", "mine"]);
  await h.ok(repo, "snapshot", "drop", "21", "Vor dem Umbau 🙂");
});

test("a bucket without objects is kept and restored as an empty one", async () => {
  await h.ok(repo, "launch", "22");
  await h.ok(repo, "snapshot", "save", "22", "empty");
  expect(await traces()).toEqual(["ah_snap_22_empty"]);
  await put(22, "spoilt", "x");
  await h.ok(repo, "snapshot", "restore", "22", "empty");
  expect(await objectsIn(s3, "agent-22")).toEqual({});
  await h.ok(repo, "snapshot", "drop", "22", "empty");
});

test("a name is taken once; --force replaces what it stands for, and leaves nothing of the old one", async () => {
  await write(22, "first");
  await put(22, "k", "first");
  await h.ok(repo, "snapshot", "save", "22", "one");
  const error = await h.refused(repo, "snapshot", "save", "22", "one");
  expect(error).toMatchObject({ exitCode: 5, code: "SNAPSHOT_EXISTS", hint: expect.stringContaining("--force") });
  expect(error.message).toContain(repo);
  await write(22, "second");
  await put(22, "k", "second");
  await h.ok(repo, "snapshot", "save", "22", "one", "--force");
  expect(await traces()).toEqual(["ah_snap_22_one", expect.stringMatching(/^agent-22-snap-one-[0-9a-f]{8}$/)]);
  await h.ok(repo, "reset", "22");
  await h.ok(repo, "snapshot", "restore", "22", "one");
  expect(await notes(22)).toEqual(["seed", "after", "first", "second"]);
  expect(await objectsIn(s3, "agent-22")).toMatchObject({ k: { text: "second" } });
});

test("list names the repository's, an agent's or the machine's; it and drop need no stack", async () => {
  await h.ok(repo, "snapshot", "save", "22", "two");
  const other = await h.project({ "agent-harness.yml": smallConfig().replace("name: small", "name: other") });
  await h.ok(other, "launch", "23");
  await h.ok(other, "snapshot", "save", "23", "three");
  expect(await names()).toEqual(["22 two", "22 one"]);
  expect(await names("23")).toEqual(["23 three"]);
  expect(await names("--everywhere")).toEqual(["23 three", "22 two", "22 one"]);
  const table = (await h.ok(repo, "snapshot", "list")).stdout;
  expect(table).toMatch(/22 {2}two +small +\S.* ago|just now/);
  await h.ok(repo, "teardown", "22", "--no-snapshot");
  expect(await names("22")).toEqual(["22 two", "22 one"]);
  await h.ok(repo, "snapshot", "drop", "22", "two");
  expect(await h.refused(repo, "snapshot", "drop", "22", "two")).toMatchObject({
    exitCode: 4,
    code: "SNAPSHOT_NOT_FOUND",
    hint: "There are: one",
  });
  await h.ok(h.home, "snapshot", "drop", "23", "three");
  await h.ok(other, "teardown", "23", "--no-snapshot");
});

test("a snapshot is restored into a stack that was launched again, of the same repository", async () => {
  expect(await h.refused(repo, "snapshot", "restore", "22", "one")).toMatchObject({
    exitCode: 4,
    code: "STACK_NOT_FOUND",
    hint: "Run: agent-harness launch 22",
  });
  const other = await h.project();
  await h.ok(other, "launch", "22");
  const error = await h.refused(other, "snapshot", "restore", "22", "one");
  expect(error).toMatchObject({ exitCode: 4, code: "SNAPSHOT_NOT_FOUND", message: expect.stringContaining(repo) });
  await h.ok(other, "teardown", "22");
  await h.ok(repo, "launch", "22");
  await h.ok(repo, "snapshot", "restore", "22", "one");
  expect(await notes(22)).toEqual(["seed", "after", "first", "second"]);
  expect(await objectsIn(s3, "agent-22")).toMatchObject({ k: { text: "second" } });
});

describe("what cannot work changes nothing", () => {
  const whole = async () => [await notes(22), await objectsIn(s3, "agent-22"), await h.pids(22), await names("22")];

  test("a snapshot that is not there", async () => {
    const before = await whole();
    const error = await h.refused(repo, "snapshot", "restore", "22", "none");
    expect(error).toMatchObject({ code: "SNAPSHOT_NOT_FOUND", hint: "There are: one" });
    expect(await h.refused(repo, "snapshot", "restore", "24", "none")).toMatchObject({ code: "STACK_NOT_FOUND" });
    expect(await h.refused(repo, "snapshot", "save", "24", "none")).toMatchObject({ code: "STACK_NOT_FOUND" });
    expect(await h.refused(repo, "snapshot", "drop", "24", "none")).toMatchObject({
      code: "SNAPSHOT_NOT_FOUND",
      hint: "Save one: agent-harness snapshot save 24 <name>",
    });
    expect(await whole()).toEqual(before);
  });

  test("a name that is no name, or is that of teardowns", async () => {
    expect(await h.refused(repo, "snapshot", "save", "22", " ")).toMatchObject({ exitCode: 2, code: "USAGE" });
    const error = await h.refused(repo, "snapshot", "save", "22", "before-teardown");
    expect(error).toMatchObject({ exitCode: 2, code: "USAGE", message: expect.stringContaining("a teardown keeps") });
  });

  test("a snapshot whose bucket somebody deleted", async () => {
    await put(22, "k2", "x");
    await h.ok(repo, "snapshot", "save", "22", "torn");
    const [bucket = ""] = (await traces()).filter((name) => String(name).startsWith("agent-22-snap-torn")).map(String);
    const keys = [".agent-harness.json", "k", "k2"];
    await s3.removeObjects(bucket, keys);
    await s3.removeBucket(bucket);
    const before = await whole();
    const error = await h.refused(repo, "snapshot", "restore", "22", "torn");
    expect(error).toMatchObject({ code: "SNAPSHOT_NOT_FOUND", message: expect.stringContaining(bucket) });
    expect(await whole()).toEqual(before);
    expect((await h.ledger(22)).restoring).toBeUndefined();
    await h.ok(repo, "snapshot", "drop", "22", "torn");
  });

  test("a database of somebody else's that has the name", async () => {
    await h.sql("postgres", "create database ah_snap_22_theirs");
    const before = await whole();
    const error = await h.refused(repo, "snapshot", "save", "22", "theirs", "--force");
    expect(error).toMatchObject({
      exitCode: 5,
      code: "NAME_FOREIGN",
      message: expect.stringContaining("ah_snap_22_theirs"),
    });
    expect(await h.refused(repo, "snapshot", "drop", "22", "theirs")).toMatchObject({ code: "SNAPSHOT_NOT_FOUND" });
    expect(await whole()).toEqual(before);
    await h.sql("postgres", "drop database ah_snap_22_theirs");
  });

  test("a reset or restore that was interrupted", async () => {
    const path = join(h.paths.stacks, "22", "ledger.json");
    const ledger = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...ledger, restoring: "one" }));
    const error = await h.refused(repo, "snapshot", "save", "22", "half");
    expect(error).toMatchObject({ exitCode: 5, code: "STACK_UNFINISHED", hint: expect.stringContaining("launch 22") });
    expect(await h.refused(repo, "snapshot", "drop", "22", "one")).toMatchObject({ code: "STACK_UNFINISHED" });
    await writeFile(path, JSON.stringify(ledger));
  });

  test("infra that is down", async () => {
    await h.ok(repo, "infra", "down", "--force");
    for (const words of [["save", "22", "x"], ["list"], ["drop", "22", "one"]]) {
      const error = await h.refused(repo, "snapshot", ...words);
      expect(error).toMatchObject({ exitCode: 6, code: "POSTGRES_UNAVAILABLE" });
      expect(error.hint).toContain("agent-harness infra up");
    }
    await h.ok(repo, "infra", "up");
    expect(await names("22")).toEqual(["22 one"]);
  });
});

test("at the end nothing is left but what list shows", async () => {
  await h.ok(repo, "teardown-all", "--everywhere", "--no-snapshot");
  await h.ok(repo, "snapshot", "drop", "22", "one");
  expect(await traces()).toEqual([]);
  await noTrash();
});
