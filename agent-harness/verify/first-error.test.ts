import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type FirstError, readErrors } from "./first-error.ts";

/** What tools really printed (paths shortened), fed as one stream. */
function parse(text: string): FirstError | undefined {
  const reader = readErrors();
  for (const line of text.split("\n")) reader.line("stdout", line);
  return reader.end();
}

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}.txt`, import.meta.url), "utf8");

const unequal = `AssertionError: expected 'it\\'s "a" $HOME' to be 'b\\n\`c\`' // Object.is equality`;
const jestUnequal = `expect(received).toBe(expected) // Object.is equality Expected: "b \`c\`" Received: "it's \\"a\\""`;
const pyUnequal = `assert 'it\\'s "a"' == 'b \`c\` $HOME'`;
const goUnequal = `Add(1, 2) = -1, want 'three' "3" \`3\` $HOME`;
const wrongType = "TS2322: Type 'string' is not assignable to type 'number'.";

/** Fixture, file, line, message. */
const expected: [string, string | undefined, number | undefined, string][] = [
  ["tsc-plain", "src/broken.ts", 2, wrongType],
  ["tsc-pretty", "src/broken.ts", 2, wrongType],
  ["tsc-global", undefined, undefined, "TS5058: The specified path does not exist: '/project/nope.json'."],
  ["eslint-stylish", "/project/src/lint.js", 2, "'x' is not defined (no-undef)"],
  ["eslint-color", "/project/src/lint.js", 2, "'x' is not defined (no-undef)"],
  ["eslint-unix", "/project/src/lint.js", 2, "'x' is not defined. (no-undef)"],
  ["eslint-compact", "/project/src/lint.js", 2, "'x' is not defined. (no-undef)"],
  [
    "biome",
    "src/b.ts",
    2,
    "Using == may be unsafe if you are relying on type coercion. (lint/suspicious/noDoubleEquals)",
  ],
  [
    "biome-color",
    "src/b.ts",
    2,
    "Using == may be unsafe if you are relying on type coercion. (lint/suspicious/noDoubleEquals)",
  ],
  ["biome-format", "src/b.ts", undefined, "Formatter would have printed the following content: (format)"],
  [
    "biome-long",
    `src/${"a".repeat(35)}/${"b".repeat(50)}/c.ts`,
    2,
    "Using == may be unsafe if you are relying on type coercion. (lint/suspicious/noDoubleEquals)",
  ],
  ["vitest-a", "a.test.ts", 4, unequal],
  ["vitest-color", "a.test.ts", 4, unequal],
  ["vitest-b", "b.test.ts", 1, "Error: Cannot find module './missing.ts' imported from /project/b.test.ts"],
  ["vitest-c", "lib.ts", 2, `TypeError: can't "do" that`],
  ["vitest-d", "d.test.ts", 2, "Error: late 'one'"],
  ["vitest-e", "e.test.ts", 1, "Error: Transform failed with 1 error: [PARSE_ERROR] Unexpected token"],
  ["jest-a", "a.test.js", 5, jestUnequal],
  ["jest-b", "b.test.js", 1, "Cannot find module './missing' from 'b.test.js'"],
  ["jest-c", "lib.js", 2, `TypeError: can't "do" that`],
  ["jest-d", "/project/d.test.js", 1, "SyntaxError: Unexpected token"],
  ["pytest-a", "tests/test_a.py", 5, pyUnequal],
  ["pytest-b", "tests/test_b.py", 1, "ModuleNotFoundError: No module named 'nope'"],
  ["pytest-c", "lib.py", 2, `ValueError: can't "do" that`],
  ["pytest-d", "/project/tests/test_d.py", 1, "SyntaxError: invalid syntax"],
  ["pytest-e", "tests/test_e.py", 4, "RuntimeError: fixture 'x'"],
  ["pytest-short", "tests/test_a.py", 5, pyUnequal],
  ["pytest-line", "/project/tests/test_a.py", 5, pyUnequal],
  ["pytest-no", "tests/test_a.py", undefined, pyUnequal],
  ["go-test", "x_test.go", 10, goUnequal],
  ["go-test-v", "x_test.go", 10, goUnequal],
  ["go-testify", "x_test.go", 10, "Not equal: expected: 3 actual  : -1"],
  ["go-panic", "/project/sub/x.go", 4, "panic: assignment to entry in nil map"],
  ["go-build", "bad/b.go", 3, "undefined: undefinedThing"],
  ["go-vet", "bad/b.go", 3, "undefined: undefinedThing"],
  ["cargo-check", "src/lib.rs", 1, "E0308: mismatched types"],
  ["cargo-color", "src/lib.rs", 1, "E0308: mismatched types"],
  ["cargo-test", "src/lib.rs", 6, `assertion \`left == right\` failed: it's "three" left: -1 right: 3`],
  ["cargo-unwrap", "src/lib.rs", 8, `called \`Result::unwrap()\` on an \`Err\` value: "can't 'do'"`],
  ["node-crash", "file:///project/crash.mjs", 1, `Error: it's "down"`],
  ["node-syntax", "/project/syn.cjs", 1, "SyntaxError: Unexpected token '='"],
  ["python-traceback", "/project/lib.py", 2, `ValueError: can't "do" that`],
  ["pnpm-filter", "src/broken.ts", 2, wrongType],
  ["pnpm-recursive", "src/broken.ts", 2, wrongType],
  ["npm-workspaces", "src/broken.ts", 2, wrongType],
  ["turbo", "src/broken.ts", 2, wrongType],
];

describe("the first error of real outputs", () => {
  test.each(expected)("%s", (name, file, line, message) => {
    expect(parse(fixture(name))).toMatchObject({
      message,
      ...(file === undefined ? {} : { file }),
      ...(line === undefined ? {} : { line }),
    });
  });

  test.each([
    ["pnpm-filter", "/project/packages/backend"],
    ["pnpm-recursive", "packages/backend"],
    ["npm-workspaces", "/project/packages/backend"],
    ["turbo", "/project/packages/backend"],
  ])("%s says in which folder the tool ran", (name, folder) => {
    expect(parse(fixture(name))?.folders).toContain(folder);
  });

  test("a Go package names the folder of its files", () => {
    expect(parse(fixture("go-test"))?.folder).toBe("example.com/m/sub");
  });
});

describe("what is not an error", () => {
  test("warnings", () => {
    expect(parse("/project/a.js\n  1:7  warning  'x' is unused  no-unused-vars\n")).toBeUndefined();
    expect(parse("a.js:1:7: 'x' is unused. [Warning/no-unused-vars]")).toBeUndefined();
    expect(parse("warning: unused variable: `unused`\n --> src/lib.rs:1:41\n")).toBeUndefined();
    expect(parse(`src/a.ts:1:1 lint/style/useConst ${"━".repeat(30)}\n\n  ! Not so nice.\n`)).toBeUndefined();
  });

  test("an empty output, a banner, an address", () => {
    expect(parse("")).toBeUndefined();
    expect(parse("Listening on http://localhost:8010/api\n")).toBeUndefined();
    expect(parse("12:30:01 started\n")).toBeUndefined();
  });
});

describe("mixed and unknown output", () => {
  test("a tool that is in no family: file, line and message are still found", () => {
    expect(parse("checking\nsrc/app.py:12: error: Name 'foo' is not defined  [name-defined]\n")).toMatchObject({
      file: "src/app.py",
      line: 12,
      message: "Name 'foo' is not defined  [name-defined]",
    });
  });

  test("a known tool wins over a line that only looks like a place", () => {
    expect(parse(`note.txt:1: hello\n${fixture("tsc-plain")}`)).toMatchObject({ file: "src/broken.ts" });
  });

  test("streams and tasks are read apart, however their lines are mixed", () => {
    const reader = readErrors();
    reader.line("stderr", " FAIL  a.test.ts > x");
    reader.line("stdout", " ❯ other.ts:9:9");
    reader.line("stderr", "Error: 'this one'");
    reader.line("stdout", "some text");
    reader.line("stderr", " ❯ a.test.ts:3:1");
    expect(reader.end()).toMatchObject({ file: "a.test.ts", line: 3, message: "Error: 'this one'" });
  });

  test("the last line that says something, without what runners add", () => {
    const reader = readErrors();
    for (const line of [
      "it broke: 'here'",
      "",
      " ELIFECYCLE  Command failed with exit code 1.",
      "npm error code 1",
      "═══",
    ]) {
      reader.line("stderr", line);
    }
    expect(reader.end()).toBeUndefined();
    expect(reader.lastLine()).toBe("it broke: 'here'");
  });
});
