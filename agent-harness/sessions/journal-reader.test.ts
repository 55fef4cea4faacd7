import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { JournalFile } from "./journal-file.ts";
import { type ReadRecord, readJournal } from "./journal-reader.ts";

let folder: string;
let path: string;
let stop: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-journal-"));
  path = join(folder, "journal.jsonl");
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await rm(folder, { recursive: true });
});

async function write(...lines: string[]): Promise<void> {
  const journal = JournalFile.open(path);
  journal.append(...lines.map((line) => ({ from: "stdout" as const, line })));
  await journal.close();
}

async function readFrom(from: number): Promise<ReadRecord[]> {
  const found: ReadRecord[] = [];
  for await (const one of readJournal(path, { from })) found.push(one);
  return found;
}

/** Follows the journal; what came so far, and whether it has ended. */
function follow(from = 0): { lines: string[]; ended: Promise<void> } {
  const lines: string[] = [];
  const ended = (async () => {
    for await (const { record } of readJournal(path, { from, follow: stop.signal })) {
      if (record.from === "stdout") lines.push(record.line);
    }
  })();
  return { lines, ended };
}

test("whoever goes on at an offset gets what comes after it", async () => {
  const lines = ["a", "x".repeat(300_000), "", "世界", "y".repeat(700_000), "z"];
  await write(...lines);
  const all = await readFrom(0);
  expect(all.map(({ record }) => record.from === "stdout" && record.line)).toEqual(lines);
  for (const [at, { offsetAfter }] of all.entries()) expect(await readFrom(offsetAfter)).toEqual(all.slice(at + 1));
});

test("one that is followed from before it was there gives each line as it comes", async () => {
  const { lines, ended } = follow();
  await write("a");
  await until("the first line", () => lines.length === 1);
  await write("b", "c");
  await until("the others", () => lines.length === 3);
  stop.abort();
  await ended;
  expect(lines).toEqual(["a", "b", "c"]);
});

test("half a line waits for its other half, and one that was torn is passed over", async () => {
  await write("a");
  const whole = '{"n":2,"at":1,"from":"stdout","line":"later"}\n';
  const { lines } = follow();
  await until("the first line", () => lines.length === 1);
  await appendFile(path, whole.slice(0, 20));
  await appendFile(path, whole.slice(20));
  await appendFile(path, '{"n":3,"at\n\0\0\n[]\n{"n":4,"at":1,"from":"stdout","line":"last"}\n');
  await until("the last line", () => lines.length === 3);
  expect(lines).toEqual(["a", "later", "last"]);
});

test("a torn line that is cut off and written over while it is followed comes as what it became", async () => {
  await write("a");
  const size = (await readFile(path)).length;
  const { lines } = follow();
  await appendFile(path, '{"n":2,"at":1,"from":"stdout","line":"to');
  await until("the first line", () => lines.length === 1);
  await truncate(path, size);
  await write("b");
  await until("the second line", () => lines.length === 2);
  expect(lines).toEqual(["a", "b"]);
});

test("an offset beyond the end is one before a power cut: what comes then is read", async () => {
  await write("a");
  const { lines } = follow(10_000);
  // Until it is there, it begins at whatever end there is.
  await until("a new line", async () => {
    await write("b");
    return lines.length > 0;
  });
  expect(lines[0]).toBe("b");
});

test("the end of a journal that nobody follows is its end, also of none", async () => {
  expect(await readFrom(0)).toEqual([]);
  await writeFile(path, "");
  expect(await readFrom(0)).toEqual([]);
});
