import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openOutput, splitLines } from "./output.ts";

function split(...chunks: (string | Buffer)[]): string[] {
  const lines: string[] = [];
  const splitter = splitLines((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(Buffer.from(chunk));
  splitter.end();
  return lines;
}

test("lines that come in pieces are put together", () => {
  expect(split("one\ntw", "o\n\nth", "ree")).toEqual(["one", "two", "", "three"]);
  expect(split("a\r\nb\r\n")).toEqual(["a", "b"]);
  expect(split("")).toEqual([]);
  expect(split("a\n")).toEqual(["a"]);
});

test("a sign cut in two between chunks survives", () => {
  const bytes = Buffer.from("ü×\n");
  expect(split(bytes.subarray(0, 1), bytes.subarray(1, 3), bytes.subarray(3))).toEqual(["ü×"]);
});

test("a line without end is cut and does not grow", () => {
  const lines = split(...Array.from({ length: 100 }, () => "x".repeat(65_536)), "\nnext");
  expect(lines.map((line) => line.length)).toEqual([4096, 4]);
});

test("the log has everything, in place of the older one, and only its owner may read it", () => {
  const folder = mkdtempSync(join(tmpdir(), "output-"));
  try {
    for (const text of ["first", "second"]) {
      const output = openOutput(join(folder, "deep/x.log"), () => undefined);
      output.write("stdout", Buffer.from(`${text} out\n`));
      output.write("stderr", Buffer.from("err"));
      output.close();
    }
    expect(readFileSync(join(folder, "deep/x.log"), "utf8")).toBe("second out\nerr");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
