import { describe, expect, test } from "vitest";
import { parseEnv, renderEnv } from "./env-file.ts";
import { HarnessError } from "./errors.ts";

describe("renderEnv", () => {
  test("writes simple values bare, the rest in quotes, under the header", () => {
    const text = renderEnv({ A: "1", B: "a b", C: "it's", D: 'it\'s "so"', E: "" }, "made by a test\nsecond line");
    expect(text).toBe("# made by a test\n# second line\nA=1\nB='a b'\nC=\"it's\"\nD=`it's \"so\"`\nE=''\n");
  });

  test.each([
    "",
    " ",
    " both ",
    "a b",
    ["$HOME $", "{HOME} $(x)"].join(""),
    "#no comment",
    "a # b",
    "back\\slash",
    "C:\\dir\\",
    "C:\\new\\road",
    "line 1\nline 2\n",
    "\n",
    "\nOTHER=1\n",
    "it's",
    'say "x"',
    "a `b`",
    'it\'s "so"',
    "'single'",
    '"double"',
    "`back`",
    "''",
    "=",
    "a=b",
    "export X=1",
    "ünï ✓ 日本 🎉",
    "\u00a0nbsp\u00a0",
    "\u2028",
    "\ufeffbom",
    "postgres://u:p@ss'w\"rd@h/d?x=1&y=2#z",
    '{"a":"b","c":[1,2]}',
    "-----BEGIN KEY-----\nabc+/=\n-----END KEY-----\n",
    "false",
    "null",
  ])("carries %j back", (value) => {
    expect(parseEnv(renderEnv({ A: value, B: "after" }))).toEqual({ A: value, B: "after" });
  });

  test.each([
    ["all three quotes", "a ' b \" c ` # d\n"],
    ["a carriage return", "a\r\nb"],
    ["a NUL", "a\0b"],
    ["half a character", "a\ud800b"],
  ])("refuses %s and names the key only", (_what, value) => {
    const error = caught(() => renderEnv({ FINE: "1", BROKEN_KEY: value }));
    expect(error.code).toBe("ENV_VALUE_UNSUPPORTED");
    expect(error.message).toContain("BROKEN_KEY");
    expect(JSON.stringify(error)).not.toContain(JSON.stringify(value).slice(1, -1));
  });

  test("refuses a key that is no variable name", () => {
    expect(caught(() => renderEnv({ "A B": "1" })).message).toContain("A B");
  });

  test("reads nothing into its own environment", () => {
    parseEnv("AH_ENV_FILE_TEST=1");
    expect(process.env["AH_ENV_FILE_TEST"]).toBeUndefined();
  });
});

/** A small generator with a fixed seed, so that a failure can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const pieces = [
  "a",
  "B",
  "1",
  " ",
  "\t",
  "\n",
  "'",
  '"',
  "`",
  "$",
  "#",
  "\\",
  "\\n",
  "=",
  "A=",
  "{",
  "é",
  "🎉",
  ":",
  "-",
];

test("whatever the values, either each comes back exactly or the key is named", () => {
  const next = random(20_260_101);
  let refusals = 0;
  for (let round = 0; round < 5000; round += 1) {
    const values: Record<string, string> = {};
    for (let key = 0; key <= next(4); key += 1) {
      values[`KEY_${key}`] = Array.from({ length: next(9) }, () => pieces[next(pieces.length)]).join("");
    }
    try {
      expect(parseEnv(renderEnv(values, "header"))).toEqual(values);
    } catch (error) {
      if (!(error instanceof HarnessError)) throw error;
      refusals += 1;
      const value = values[String(error.context["key"])] ?? "";
      // Only these two can be beyond all quoting: every kind of quote inside, or a backslash at the end.
      const everyQuote = ["'", '"', "`"].every((quote) => value.includes(quote) || /\\[nr]/.test(value));
      expect(everyQuote || value.endsWith("\\"), JSON.stringify(values)).toBe(true);
    }
  }
  expect(refusals).toBeLessThan(500);
});

function caught(run: () => unknown): HarnessError {
  try {
    run();
  } catch (error) {
    if (error instanceof HarnessError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
