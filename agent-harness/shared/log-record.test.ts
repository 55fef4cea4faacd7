import { expect, test } from "vitest";
import { decodePlain, decodeRecords } from "./log-record.ts";

const at = (seconds: number): string => new Date(seconds * 1000).toISOString();
/** A record as PM2 writes it. */
const record = (message: string, seconds: number, type = "out"): string =>
  JSON.stringify({ message, timestamp: at(seconds), type, process_id: 3, app_name: "agent-1-api" });
const decode = (...lines: string[]) => {
  const decoder = decodeRecords();
  return { lines: lines.flatMap((line) => decoder.line(line)), rest: decoder.rest("") };
};

test("a piece may hold several lines, or a part of one; a line has the time of its end", () => {
  expect(decode(record("one\ntwo\nthr", 1), record("ee\n\n", 2))).toEqual({
    lines: [
      { line: "one", time: 1000, stream: "out" },
      { line: "two", time: 1000, stream: "out" },
      { line: "three", time: 2000, stream: "out" },
      { line: "", time: 2000, stream: "out" },
    ],
    rest: [],
  });
});

test("each stream is put together by itself", () => {
  const { lines, rest } = decode(record("half of ", 1), record("oops\nand ", 2, "err"), record("a line\n", 3));
  expect(lines).toEqual([
    { line: "oops", time: 2000, stream: "err" },
    { line: "half of a line", time: 3000, stream: "out" },
  ]);
  expect(rest).toEqual([{ line: "and ", time: 2000, stream: "err" }]);
});

test("a line without an end is not waited for for ever", () => {
  const long = "x".repeat(2 * 1024 * 1024);
  expect(decode(record(long, 1), record("y\n", 2)).lines.map((one) => one.line.length)).toEqual([long.length, 1]);
});

test.each([
  "plain text",
  "",
  '{"message":"a program\'s own record","level":"info"}',
  '{"message":"cut off',
  '{"message":5,"timestamp":"2026-01-01","type":"out","process_id":1,"app_name":"x"}',
  '{"message":"x","timestamp":"some day","type":"out","process_id":1,"app_name":"x"}',
  '{"message":"x","timestamp":"2026-01-01","type":"other","process_id":1,"app_name":"x"}',
])("%j is taken as it is, without a time", (text) => {
  expect(decode(text).lines).toEqual([{ line: text }]);
});

test("a record that is still being written is no line yet; plain text is", () => {
  expect(decodeRecords().rest(record("x", 1).slice(0, 20))).toEqual([]);
  expect(decodeRecords().rest("waiting for")).toEqual([{ line: "waiting for" }]);
  expect(decodePlain().rest("")).toEqual([]);
});
