import { appendFile, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { FileFollower, type FileLine } from "./keeper-files.ts";

let folder: string;
let open: FileFollower[];
let told: FileLine[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-files-"));
  open = [];
  told = [];
});
afterEach(async () => {
  for (const one of open) await one.stop();
  await rm(folder, { recursive: true });
});

const at = (...names: string[]): string => join(folder, ...names);
const lines = (): string[] => told.map((one) => one.line);

async function follow(patterns: string[], known = new Map<string, number>()): Promise<FileFollower> {
  const follower = new FileFollower(
    patterns.map((one) => at(one)),
    known,
    (found) => told.push(...found),
  );
  open.push(follower);
  await follower.start();
  return follower;
}

async function stop(follower: FileFollower): Promise<void> {
  open = open.filter((one) => one !== follower);
  await follower.stop();
}

test("what is there already is read from its beginning, then what is appended", async () => {
  await writeFile(at("a.jsonl"), "1\n2\n");
  const follower = await follow(["a.jsonl"]);
  expect(lines()).toEqual(["1", "2"]);
  await appendFile(at("a.jsonl"), "3");
  await appendFile(at("a.jsonl"), "3\n4\nhalf");
  await until("they were read", () => lines().length === 4);
  await stop(follower);
  expect(lines()).toEqual(["1", "2", "33", "4", "half"]);
});

test("files that fit come late, in folders that come late; others are left alone", async () => {
  await follow(["*/day-*/log*.jsonl"]);
  await mkdir(at("2026", "day-1"), { recursive: true });
  await writeFile(at("2026", "day-1", "log1.jsonl"), "a\n");
  await until("the first", () => lines().length === 1);
  await writeFile(at("2026", "day-1", "log.txt"), "no\n");
  await mkdir(at("2026", "day-2"));
  await writeFile(at("2026", "day-2", "log+(2).jsonl"), "b\n");
  await until("the second", () => lines().length === 2);
  await appendFile(at("2026", "day-1", "log1.jsonl"), "c\n");
  await until("the third", () => lines().length === 3);
  expect(lines()).toEqual(["a", "b", "c"]);
  expect(told[1]?.path).toBe(at("2026", "day-2", "log+(2).jsonl"));
});

test("one that is rotated is read to its end, its new name does not read it twice", async () => {
  await writeFile(at("log"), "1\n");
  await follow(["log*"]);
  await appendFile(at("log"), "2\n");
  await rename(at("log"), at("log.1"));
  await appendFile(at("log.1"), "3\n");
  await writeFile(at("log"), "4\n");
  await until("all were read", () => lines().length === 4);
  expect(lines().sort()).toEqual(["1", "2", "3", "4"]);
});

test("one that is rotated out of the pattern is read to its end", async () => {
  await writeFile(at("log"), "1\n");
  const follower = await follow(["log"]);
  await appendFile(at("log"), "2\n");
  await rename(at("log"), at("old"));
  await writeFile(at("log"), "3\n");
  await until("all were read", () => lines().length === 3);
  await rm(at("log"));
  await writeFile(at("log"), "4\n");
  await until("the newest was read", () => lines().length === 4);
  await stop(follower);
  expect(lines().sort()).toEqual(["1", "2", "3", "4"]);
});

test("one that is emptied is read from its beginning again", async () => {
  await writeFile(at("log"), "1\n2\n");
  await follow(["log"]);
  await truncate(at("log"), 0);
  await until("it was seen", async () => {
    await appendFile(at("log"), "3\n");
    return lines().includes("3");
  });
  expect(lines().slice(0, 3)).toEqual(["1", "2", "3"]);
});

test("a later follower goes on where the earlier one was", async () => {
  await writeFile(at("log"), "1\n世界\n");
  await stop(await follow(["log"]));
  const last = told.at(-1);
  await appendFile(at("log"), "3\n");
  await stop(await follow(["log"], new Map([[last?.file ?? "", last?.end ?? 0]])));
  expect(lines()).toEqual(["1", "世界", "3"]);
});

test("a line of 3 MB is one line; folders, links to nowhere and unreadable names are none", async () => {
  await mkdir(at("log.d"));
  await symlink(at("nowhere"), at("log.link"));
  await follow(["log*"]);
  const long = "x".repeat(3_000_000);
  await writeFile(at("log.a"), `${long}\nend\n`);
  await until("both were read", () => lines().length === 2);
  expect(lines()).toEqual([long, "end"]);
});
