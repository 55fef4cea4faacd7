import { expect, test } from "vitest";
import { nearest, suggest } from "./nearest.ts";

test.each([
  ["proceses", ["ports", "processes"], "processes"],
  ["depends_on", ["dependsOn", "debug"], "dependsOn"],
  ["DATABSE", ["database"], "database"],
  ["cdw", ["cwd", "command"], "cwd"],
  ["x", ["y"], "y"],
  ["zebra", ["name", "infra"], undefined],
  ["", ["abc"], undefined],
  ["abc", [], undefined],
])("nearest to %j of %j is %j", (word, candidates, found) => {
  expect(nearest(word, candidates)).toBe(found);
});

test("suggest names the nearest, else all", () => {
  expect(suggest("pol", ["pool", "build"])).toBe("; did you mean `pool`?");
  expect(suggest("zzzz", ["pool", "build"])).toBe("; allowed: `pool`, `build`");
  expect(suggest("zzzz", [])).toBe("");
});
