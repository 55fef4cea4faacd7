import { appendFile, mkdtemp, readdir, rename, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { followLines, lastLines, openLog, setLargeLogAside } from "./log-file.ts";
import { decodeRecords } from "./log-record.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-log-"));
  file = join(folder, "api.log");
});
afterEach(async () => await rm(folder, { recursive: true }));

const record = (message: string, time: number): string =>
  `${JSON.stringify({ message, timestamp: new Date(time).toISOString(), type: "out", process_id: 0, app_name: "a" })}\n`;
const linesOf = ({ entries }: { entries: { line: string }[] }): string[] => entries.map((one) => one.line);
const open = (question: Parameters<typeof openLog>[1]) => openLog(file, question, decodeRecords);

describe("the last lines", () => {
  test("of a log that is not there, of an empty one, of one without an end of line", async () => {
    expect(await lastLines(file, 5)).toEqual([]);
    await writeFile(file, "");
    expect(await lastLines(file, 5)).toEqual([]);
    await writeFile(file, "one\ntwo\nthree");
    expect(await lastLines(file, 2)).toEqual(["two", "three"]);
    expect(await lastLines(file, 0)).toEqual([]);
    expect(await lastLines(file, 9)).toEqual(["one", "two", "three"]);
  });

  test("as many as are asked for, of a log that is not read in one piece, and none of them cut", async () => {
    const line = (at: number): string => `${at} ${"ü".repeat(400)}`;
    await writeFile(file, Array.from({ length: 5000 }, (_, at) => `${line(at)}\n`).join(""));
    const lines = await lastLines(file, 4000);
    expect([lines.length, lines[0], lines.at(-1)]).toEqual([4000, line(1000), line(4999)]);
  });
});

describe("since", () => {
  const minute = 60_000;
  test("lines with their times, however far back they begin", async () => {
    const all = Array.from({ length: 9000 }, (_, at) => record(`line ${at}\n`, at * minute));
    await writeFile(file, all.join(""));
    const found = await open({ since: 500 * minute });
    expect([found.entries.length, linesOf(found)[0], found.untimed, found.cut]).toEqual([8500, "line 500", 0, false]);
    expect(found.entries[0]?.time).toBe(500 * minute);
    expect(linesOf(await open({ since: 500 * minute, lines: 2 }))).toEqual(["line 8998", "line 8999"]);
    expect(await open({ since: 9000 * minute })).toMatchObject({ entries: [], untimed: 0 });
    expect((await open({ since: 0 })).entries).toHaveLength(9000);
  });

  test("a line that carries no time is shown only where those around it tell", async () => {
    const plain = "plain one\nplain two\n";
    await writeFile(file, plain + record("timed\n", 10 * minute) + record("later\n", 20 * minute));
    // Older than a line that is too old itself.
    expect(await open({ since: 15 * minute })).toMatchObject({ entries: [{ line: "later" }], untimed: 0 });
    // Nobody knows.
    expect(await open({ since: 5 * minute })).toMatchObject({
      entries: [{ line: "timed" }, { line: "later" }],
      untimed: 2,
    });
    // Newer than a line that is new enough itself.
    await appendFile(file, "plain three\n");
    expect(linesOf(await open({ since: 15 * minute }))).toEqual(["later", "plain three"]);
    // Behind one that is too old, of a file written since.
    await utimes(file, 40 * 60, 40 * 60);
    expect(await open({ since: 30 * minute })).toMatchObject({ entries: [], untimed: 1 });
  });

  test("a log without any times is told by when it was written last", async () => {
    await writeFile(file, "plain\n");
    await utimes(file, 1000, 1000);
    expect(await open({ since: 999_000 })).toMatchObject({ entries: [], untimed: 1 });
    expect(await open({ since: 1_001_000 })).toMatchObject({ entries: [], untimed: 0 });
  });
});

describe("following", () => {
  /** Follows until so many lines are there. */
  async function following(question: Parameters<typeof openLog>[1] = { lines: 0, whole: true }) {
    const log = await openLog(file, question, decodeRecords);
    const lines: string[] = [];
    const stop = new AbortController();
    const ended = log.follow(stop.signal, ({ line }) => lines.push(line));
    return {
      log,
      lines,
      until: (...expected: string[]) =>
        until(`the lines ${expected}, not ${lines}`, () => JSON.stringify(lines) === JSON.stringify(expected)),
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await ended;
      },
    };
  }

  test("goes on where the reading ended: nothing twice, nothing left out, no half line", async () => {
    await writeFile(file, record("one\nhal", 1000));
    await using follow = await following({ lines: 10, whole: true });
    expect(linesOf(follow.log)).toEqual(["one"]);
    await appendFile(file, record("f\nthree\n", 2000));
    await follow.until("half", "three");
  });

  test("a letter that is written in two parts stays whole", async () => {
    await writeFile(file, "");
    await using follow = await following();
    const text = Buffer.from(`${record("grün\n", 1000)}plain ü\n`);
    const split = text.indexOf(Buffer.from("ü")) + 1;
    await appendFile(file, text.subarray(0, split));
    await appendFile(file, text.subarray(split));
    await follow.until("grün", "plain ü");
  });

  test("a log that comes later, is emptied, or is replaced by another is read from its beginning", async () => {
    await using follow = await following();
    await writeFile(file, "one\n");
    await follow.until("one");
    await truncate(file);
    await writeFile(file, "2\n");
    await follow.until("one", "2");
    await writeFile(`${file}.new`, "a longer third line\n");
    await rename(`${file}.new`, file);
    await follow.until("one", "2", "a longer third line");
  });

  test("ends with its signal, and gives plain lines too", async () => {
    await writeFile(file, "old\n");
    const stop = new AbortController();
    const lines: string[] = [];
    const ended = followLines(file, stop.signal, (line) => {
      lines.push(line);
      stop.abort();
    });
    // Written again until it is seen: nothing tells when the first look has been.
    await until("the line", async () => {
      await appendFile(file, "new\n");
      return lines.length > 0;
    });
    await ended;
    expect(lines[0]).toBe("new");
  });
});

test("a log is set aside when it is large, and only the last such one is kept", async () => {
  await setLargeLogAside(file);
  await writeFile(file, "small\n");
  await setLargeLogAside(file);
  expect(await readdir(folder)).toEqual(["api.log"]);
  await truncate(file, 65 * 1024 * 1024);
  await setLargeLogAside(file);
  expect(await readdir(folder)).toEqual(["api.log.1"]);
  await writeFile(file, "");
  await truncate(file, 66 * 1024 * 1024);
  await setLargeLogAside(file);
  expect((await stat(`${file}.1`)).size).toBe(66 * 1024 * 1024);
});
