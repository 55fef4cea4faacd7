import { expect, test } from "vitest";
import { distinctNames } from "./sql.ts";

test.each([
  [
    ["id", "name"],
    ["id", "name"],
  ],
  [
    ["id", "id", "id"],
    ["id", "id_2", "id_3"],
  ],
  [
    ["?column?", "?column?"],
    ["?column?", "?column?_2"],
  ],
  [
    ["id", "id", "id_2"],
    ["id", "id_3", "id_2"],
  ],
  [
    ["__proto__", "constructor"],
    ["__proto__", "constructor"],
  ],
])("columns %j become %j", (names, wanted) => {
  expect(distinctNames(names)).toEqual(wanted);
});
