import { describe, expect, test } from "vitest";
import { readMergeTree, touchSameLines, worst } from "./merge-verdict.ts";

const oid = "0".repeat(40);
const entry = (stage: number, file: string): string => `100644 ${oid} ${stage}\t${file}`;
const note = (type: string, text: string, ...files: string[]): string[] => [
  String(files.length),
  ...files,
  type,
  `${text}\n`,
];
const printed = (entries: string[], ...notes: string[][]): string =>
  `${[oid, ...entries, "", ...notes.flat()].join("\0")}\0`;

describe("what git's trial merge says", () => {
  test("nothing, of a merge that goes", () => {
    expect(readMergeTree(`${oid}\0`)).toEqual([]);
  });

  test("which files do not merge, and how; names may hold anything", () => {
    const odd = 'a\tb\n"ü".txt';
    const text = printed(
      [
        ...[1, 2, 3].map((stage) => entry(stage, odd)),
        ...[2, 3].map((stage) => entry(stage, "new")),
        ...[1, 3].map((stage) => entry(stage, "gone")),
        ...[1, 2, 3].map((stage) => entry(stage, "x.png")),
        entry(2, "folder~main"),
      ],
      note("Auto-merging", `Auto-merging ${odd}`, odd),
      note("CONFLICT (contents)", `CONFLICT (content): Merge conflict in ${odd}`, odd),
      note("CONFLICT (contents)", "CONFLICT (add/add): Merge conflict in new", "new"),
      note("CONFLICT (modify/delete)", "CONFLICT (modify/delete): gone", "gone"),
      note("CONFLICT (binary)", "warning: Cannot merge binary files: x.png", "x.png"),
      note("CONFLICT (contents)", "CONFLICT (content): Merge conflict in x.png", "x.png"),
      note("CONFLICT (file/directory)", "CONFLICT (file/directory): folder", "folder~main", "folder"),
    );
    expect(readMergeTree(text)).toMatchObject([
      { file: odd, collision: "same-lines", message: `CONFLICT (content): Merge conflict in ${odd}` },
      { file: "new", collision: "both-added", message: "CONFLICT (add/add): Merge conflict in new" },
      { file: "gone", collision: "deleted-and-changed", message: "CONFLICT (modify/delete): gone" },
      { file: "x.png", collision: "binary", message: expect.stringContaining("Cannot merge binary") },
      { file: "folder~main", related: ["folder"], collision: "other", message: "CONFLICT (file/directory): folder" },
    ]);
  });

  test("the worst of several counts", () => {
    expect(worst(["other-lines", "binary", "same-lines"])).toBe("same-lines");
    expect(worst(["other-lines", "other-lines"])).toBe("other-lines");
  });
});

describe("diffs of one text touch the same lines", () => {
  const diff = (...hunks: string[]): string => hunks.map((hunk) => `@@ -${hunk} +1 @@ heading\n-x\n+y\n`).join("");
  test.each([
    ["one line", ["5"], ["5"], true],
    ["neighbours, which git does not merge either", ["5"], ["6"], true],
    ["a line between them", ["5"], ["7"], false],
    ["a range and a line in it", ["3,10"], ["8"], true],
    ["a range and a line behind it", ["3,4"], ["8"], false],
    ["lines put in at one place", ["4,0"], ["4,0"], true],
    ["lines put in behind a changed line", ["4,0"], ["4"], true],
    ["lines put in further on", ["4,0"], ["6"], false],
    ["lines put in at the very beginning, and the first line", ["0,0"], ["1"], true],
    ["the second place of several", ["1", "20"], ["9", "20,2"], true],
    ["nothing at all", [], ["1"], false],
  ])("%s: %j and %j", (_, one, other, expected) => {
    expect(touchSameLines(diff(...one), diff(...other))).toBe(expected);
    expect(touchSameLines(diff(...other), diff(...one))).toBe(expected);
  });
});
