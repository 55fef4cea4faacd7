import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, type Doing, killedWhile, startDoing } from "../testing/crash.ts";
import { objectsIn } from "../testing/objects.ts";
import { openS3Client } from "../testing/s3-client.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";

let h: SmallHarness;
let repo: string;
let s3: Client;

beforeAll(async () => {
  await build();
  h = await openSmall();
  const afterClone = "    - sql: INSERT INTO notes (text) VALUES ('after')";
  repo = await h.project({ "agent-harness.yml": smallConfig({ afterClone }) });
  await h.ok(repo, "setup");
  s3 = openS3Client((await h.infra()).s3);
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const doing = (verb: Doing["verb"], id: number): Doing => ({ verb, repo, id });
const events = ["start", "done"] as const;

/** Gives a launched stack other data: a row, and an object that says the same. */
async function write(id: number, text: string): Promise<void> {
  await h.sql(`agent_${id}`, `delete from notes; insert into notes (text) values ('${text}')`);
  await s3.putObject(`agent-${id}`, "dir/text", text);
}

/** What a stack holds: the row and the object have to say the same. */
async function held(id: number): Promise<string> {
  const rows = (await h.sql(`agent_${id}`, "select text from notes order by id")).map((row) => row["text"]).join();
  const { "dir/text": object, ...others } = await objectsIn(s3, `agent-${id}`);
  expect(others).toEqual({});
  const text = (object as { text: string } | undefined)?.text;
  expect(text ?? "seed,after").toBe(rows);
  return rows;
}

const listed = async (id: number) =>
  (JSON.parse((await h.ok(repo, "snapshot", "list", String(id), "--json")).stdout) as { name: string }[]).map(
    (one) => one.name,
  );

/** What there is of one agent's snapshots, whole or not: databases, scratch copies, buckets. */
const traces = async (id: number) => [
  ...(
    await h.sql("postgres", `select datname from pg_database where datname ~ '^ah_(snap|copy)_${id}_' order by 1`)
  ).map((row) => String(row["datname"])),
  ...(await s3.listBuckets()).map((one) => one.name).filter((name) => name.startsWith(`agent-${id}-snap-`)),
];

/** Just one snapshot, with its database and its bucket, and nothing else. */
const onlyOf = (id: number, name: string) => [
  `ah_snap_${id}_${name.replaceAll("-", "_")}`,
  expect.stringMatching(new RegExp(`^agent-${id}-snap-${name}-[0-9a-f]{8}$`)),
];

async function healthy(id: number): Promise<void> {
  expect(await h.ask(repo, String(id), "health")).toMatchObject({ healthy: true });
}

describe.each(["copy database", "copy bucket", "snapshot"])("a save killed at %s", (step) => {
  test.each(events)("(its %s) leaves no snapshot or a whole one; the next one leaves nothing of it", async (event) => {
    const whole = step === "snapshot" && event === "done";
    const again = async (id: number): Promise<void> => {
      await h.ok(repo, "launch", String(id));
      await write(id, "kept");
      await killedWhile(h, doing("save", id), step, event);
      expect(await listed(id)).toEqual(whole ? ["one"] : []);
      await healthy(id);
      await h.ok(repo, "snapshot", "save", String(id), "one", "--force");
      expect(await traces(id)).toEqual(onlyOf(id, "one"));
      await write(id, "spoilt");
      await h.ok(repo, "snapshot", "restore", String(id), "one");
      expect(await held(id)).toBe("kept");
      await h.ok(repo, "snapshot", "drop", String(id), "one");
      expect(await traces(id)).toEqual([]);
    };
    const torn = async (id: number): Promise<void> => {
      await h.ok(repo, "launch", String(id));
      await write(id, "kept");
      await killedWhile(h, doing("save", id), step, event);
      await h.ok(repo, "teardown", String(id), "--no-snapshot");
      expect(await h.left(id)).toEqual([]);
      expect(await traces(id)).toEqual(whole ? onlyOf(id, "one") : []);
      if (whole) await h.ok(repo, "snapshot", "drop", String(id), "one");
    };
    await Promise.all([again(26), torn(27)]);
  });
});

test("a save that replaces another one and is killed at any time leaves the old one or the new one, whole", async () => {
  await h.ok(repo, "launch", "26");
  await write(26, "old");
  await h.ok(repo, "snapshot", "save", "26", "one");
  for (const afterMs of [350, 400, 450, 500, 550, 600, 700, 800]) {
    const before = await held(26);
    await write(26, `new ${afterMs}`);
    await startDoing(h, doing("save", 26), { afterMs }).ended;
    expect(await listed(26)).toEqual(["one"]);
    await h.ok(repo, "snapshot", "restore", "26", "one");
    const after = await held(26);
    expect([before, `new ${afterMs}`], `${afterMs} ms`).toContain(after);
    expect(await traces(26)).toEqual(onlyOf(26, "one"));
  }
  await h.ok(repo, "snapshot", "drop", "26", "one");
});

const restoreSteps = ["copy snapshot", "stop processes", "old database", "old bucket", "after-clone", "health"];

describe.each(restoreSteps)("a restore killed at %s", (step) => {
  test.each(events)("(its %s) is finished by launch or restore, or torn down at once", async (event) => {
    const begun = step !== "copy snapshot";
    const prepared = async (id: number): Promise<void> => {
      await h.ok(repo, "launch", String(id));
      if ((await listed(id)).length === 0) {
        await write(id, "kept");
        await h.ok(repo, "snapshot", "save", String(id), "one");
      }
      await write(id, "now");
      await killedWhile(h, doing("restore", id), step, event);
      expect(await listed(id)).toEqual(["one"]);
    };
    const launched = async (id: number): Promise<void> => {
      await prepared(id);
      await h.ok(repo, "launch", String(id));
      // Killed before it had begun, it has restored nothing.
      expect(await held(id)).toBe(begun ? "kept" : "now");
      await healthy(id);
      await h.ok(repo, "snapshot", "restore", String(id), "one");
      expect(await held(id)).toBe("kept");
      expect(await traces(id)).toEqual(onlyOf(id, "one"));
    };
    const restored = async (id: number): Promise<void> => {
      await prepared(id);
      await h.ok(repo, "snapshot", "restore", String(id), "one");
      expect(await held(id)).toBe("kept");
      await healthy(id);
    };
    const torn = async (id: number): Promise<void> => {
      await prepared(id);
      await h.ok(repo, "teardown", String(id), "--no-snapshot");
      expect(await h.left(id)).toEqual([]);
      expect(await traces(id)).toEqual(onlyOf(id, "one"));
    };
    await Promise.all([launched(26), restored(27), torn(28)]);
  });
});

test("a restore killed half way is given up by a reset; its snapshot cannot be dropped before", async () => {
  await h.ok(repo, "launch", "26");
  await write(26, "now");
  await killedWhile(h, doing("restore", 26), "old database", "done");
  expect(await h.refused(repo, "snapshot", "drop", "26", "one")).toMatchObject({ code: "STACK_UNFINISHED" });
  expect(await h.refused(repo, "snapshot", "save", "26", "two")).toMatchObject({ code: "STACK_UNFINISHED" });
  await h.ok(repo, "reset", "26");
  expect(await held(26)).toBe("seed,after");
  expect(await traces(26)).toEqual(onlyOf(26, "one"));
});

describe.each(["drop database", "drop bucket"])("a drop killed at %s", (step) => {
  test.each(events)("(its %s) leaves a whole snapshot or none, and nothing that stays", async (event) => {
    const id = 26;
    if (!(await listed(id)).includes("one")) {
      await h.ok(repo, "launch", String(id));
      await write(id, "kept");
      await h.ok(repo, "snapshot", "save", String(id), "one");
    }
    await killedWhile(h, doing("drop", id), step, event);
    const still = step === "drop database" && event === "start";
    expect(await listed(id)).toEqual(still ? ["one"] : []);
    if (still) expect(await traces(id)).toEqual(onlyOf(id, "one"));
    await h.ok(repo, "launch", String(id));
    await write(id, "kept");
    await h.ok(repo, "snapshot", "save", String(id), "two");
    expect(await traces(id)).toHaveLength(still ? 4 : 2);
    await h.ok(repo, "snapshot", "drop", String(id), "two");
  });
});

test("gc takes what a killed save left, and no snapshot", async () => {
  await h.ok(repo, "launch", "29");
  await write(29, "kept");
  await h.ok(repo, "snapshot", "save", "29", "stays");
  await killedWhile(h, doing("save", 29), "copy bucket", "done");
  const strays = (await traces(29)).filter((name) => !/stays/.test(name));
  expect(strays).toEqual([
    expect.stringMatching(/^ah_copy_29_[0-9a-f]{8}$/),
    expect.stringMatching(/^agent-29-snap-one-[0-9a-f]{8}$/),
  ]);
  const gc = async (...flags: string[]) =>
    (
      JSON.parse((await h.ok(repo, "gc", ...flags, "--json")).stdout) as {
        kind: string;
        name: string;
        action: string;
      }[]
    )
      .filter((one) => one.name.includes("29"))
      .map(({ name, action }) => `${action} ${name}`);
  expect(await gc("--dry-run")).toEqual(strays.map((name) => `would remove ${name}`));
  expect(await gc()).toEqual(strays.map((name) => `removed ${name}`));
  await h.ok(repo, "teardown", "29", "--no-snapshot");
  expect(await gc()).toEqual([]);
  expect(await traces(29)).toEqual(onlyOf(29, "stays"));
});
