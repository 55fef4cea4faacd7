import { expect, test } from "vitest";
import { asHarnessError, HarnessError } from "../shared/errors.ts";
import { errorLines, jsonText, sizeText, table } from "./output.ts";

test("a table lines up: text to the left, numbers to the right, no blanks at the end", () => {
  const rows = [
    ["api", 1, "online"],
    ["common-watch", 23, ""],
  ];
  expect(table(["process", "pid", "status"], rows)).toBe(
    ["process       pid  status", "api             1  online", "common-watch   23", ""].join("\n"),
  );
});

test("a table without rows is its heading; odd cells become one line each", () => {
  expect(table(["a", "b"], [])).toBe("a  b\n");
  const when = new Date("2024-01-02T03:04:05.000Z");
  expect(table(["a", "b", "c", "d"], [[null, undefined, { x: [1] }, when]]).split("\n")[1]).toBe(
    '      {"x":[1]}  2024-01-02T03:04:05.000Z',
  );
  expect(table(["a"], [["one\ntwo"]])).toBe("a\none⏎two\n");
});

test("an error says what happened, what was left behind and what to do next, in this order", () => {
  const error = new HarnessError("SURVIVORS", "A database is left.", { hint: "Run it again.", leftBehind: "agent_3" });
  expect(errorLines(error)).toBe("error SURVIVORS: A database is left.\nleft behind: agent_3\nnext: Run it again.\n");
  expect(errorLines(new HarnessError("USAGE", "No."))).toBe("error USAGE: No.\n");
});

test("only a bug shows its stack, that of what was thrown, and asks to be reported", () => {
  const thrown = new TypeError("x is undefined");
  const lines = errorLines(asHarnessError(thrown));
  expect(lines).toContain("error INTERNAL: x is undefined\n");
  expect(lines).toContain(thrown.stack);
  expect(lines).toMatch(/please report it with the lines above\.\n$/);
  const known = new HarnessError("INFRA_DOWN", "Postgres is down.", { cause: thrown });
  expect(errorLines(known)).toBe("error INFRA_DOWN: Postgres is down.\n");
});

test("JSON is one document with a line break at its end", () => {
  expect(jsonText({ a: [1] })).toBe('{\n  "a": [\n    1\n  ]\n}\n');
});

test.each([
  [0, "0 kB"],
  [1536, "2 kB"],
  [5 * 1024 ** 2, "5 MB"],
  [1.5 * 1024 ** 3, "1.5 GB"],
])("%i bytes are %s", (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});
