import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { until } from "../testing/until.ts";
import { JournalFile, type NewRecord } from "./journal-file.ts";
import { readJournal } from "./journal-reader.ts";

/** What the disk does with the next writes: takes so many bytes, then refuses; undefined is a disk that works. */
const disk = vi.hoisted(() => ({ room: undefined as number | undefined }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const writeSync = (file: number, bytes: Buffer): number => {
    if (disk.room === undefined) return fs.writeSync(file, bytes);
    if (disk.room === 0) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    const part = fs.writeSync(file, bytes.subarray(0, disk.room));
    disk.room -= part;
    return part;
  };
  return { ...fs, writeSync };
});

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-journal-"));
  path = join(folder, "journal.jsonl");
});
afterEach(async () => {
  disk.room = undefined;
  await rm(folder, { recursive: true });
});

const out = (line: string): NewRecord => ({ from: "stdout", line });

async function read(): Promise<[number, string][]> {
  const found: [number, string][] = [];
  for await (const { record } of readJournal(path)) if ("line" in record) found.push([record.n, record.line]);
  return found;
}

test("records are numbered over all that ever wrote the journal", async () => {
  const first = JournalFile.open(path);
  first.append(out("a"), out("b\u2028\n"));
  first.append();
  await first.close();
  const second = JournalFile.open(path);
  expect(second.records).toBe(2);
  second.append(out("c"));
  await second.close();
  expect(await read()).toEqual([
    [1, "a"],
    [2, "b\u2028\n"],
    [3, "c"],
  ]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("a line that was torn at any byte is cut off, and its number given again", async () => {
  const whole = JournalFile.open(path);
  whole.append(out("kept"));
  const before = (await stat(path)).size;
  whole.append(out("torn 🦦"));
  await whole.close();
  const bytes = await readFile(path);
  for (let size = before; size < bytes.length; size += 1) {
    await writeFile(path, bytes.subarray(0, size));
    const next = JournalFile.open(path);
    next.append(out("new"));
    await next.close();
    expect(await read()).toEqual([
      [1, "kept"],
      [2, "new"],
    ]);
  }
});

test("what a power cut left without its bytes is cut off", async () => {
  const whole = JournalFile.open(path);
  whole.append(out("kept"));
  await whole.close();
  await appendFile(path, `${"\0".repeat(5000)}\n\0\0`);
  const next = JournalFile.open(path);
  next.append(out("new"));
  await next.close();
  expect(await read()).toEqual([
    [1, "kept"],
    [2, "new"],
  ]);
});

test("who opens it learns which keys were written, and how far files were read", async () => {
  const first = JournalFile.open(path);
  first.append({ from: "stdin", key: "1:0", line: "x" }, out('{"from":"stdin"}'));
  first.append({ from: "file", path: "/l", line: "y".repeat(3_000_000), file: "1:2", end: 9 });
  await first.close();
  const known: unknown[] = [];
  await JournalFile.open(path, (record) => known.push(record.from === "stdin" ? record.key : record.end)).close();
  expect(known).toEqual(["1:0", 9]);
});

test("a disk that takes nothing more loses nothing, and tears no line", async () => {
  const told: (string | undefined)[] = [];
  const journal = JournalFile.open(path, undefined, (why) => told.push(why));
  journal.append(out("a"));
  disk.room = 10;
  journal.append(out("b"));
  expect(journal.isRefused).toBe(true);
  disk.room = 0;
  journal.append(out("c"));
  expect(told).toEqual(["ENOSPC: no space left on device"]);
  expect(await read()).toEqual([[1, "a"]]);
  disk.room = undefined;
  await until("it was written", () => !journal.isRefused);
  journal.append(out("d"));
  expect(told).toEqual(["ENOSPC: no space left on device", undefined]);
  await journal.close();
  expect(await read()).toEqual([
    [1, "a"],
    [2, "b"],
    [3, "c"],
    [4, "d"],
  ]);
});

test("at the end it says what the disk did not take", async () => {
  const journal = JournalFile.open(path);
  disk.room = 0;
  journal.append(out("a"));
  expect(await journal.close()).toContain("ENOSPC");
  await truncate(path, 0);
});
