import { describe, expect, test } from "vitest";
import {
  asHarnessError,
  type ErrorCode,
  type ErrorKind,
  errorCodes,
  errorKinds,
  errorNumber,
  errorText,
  HarnessError,
  httpStatusOf,
} from "./errors.ts";

test.each<[ErrorKind, number, number, boolean]>([
  ["failed", 1, 422, false],
  ["usage", 2, 400, false],
  ["config", 3, 400, false],
  ["missing", 4, 404, false],
  ["conflict", 5, 409, true],
  ["unavailable", 6, 503, true],
  ["timeout", 7, 504, true],
  ["bug", 70, 500, false],
])("%s means exit %i, HTTP %i, retry %s", (kind, exitCode, httpStatus, retry) => {
  expect(errorKinds[kind]).toEqual({ exitCode, httpStatus, retry });
});

test("every code is a word in capitals and has a kind of the table", () => {
  for (const [code, kind] of Object.entries(errorCodes)) {
    expect(code).toMatch(/^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/);
    expect(Object.keys(errorKinds)).toContain(kind);
  }
  expect(new Set(Object.values(errorCodes)).size).toBe(Object.keys(errorKinds).length);
});

test.each<[ErrorCode, number]>([
  ["UNAUTHORIZED", 401],
  ["HOST_FORBIDDEN", 403],
  ["METHOD_NOT_ALLOWED", 405],
  ["BODY_TOO_LARGE", 413],
  ["TMUX_ERROR", 500],
  ["INVALID_REQUEST", 400],
  ["NAME_CONFLICT", 409],
  ["INTERNAL", 500],
])("%s is HTTP %i", (code, status) => {
  expect(httpStatusOf(code)).toBe(status);
});

describe("HarnessError", () => {
  test("carries its code, kind, hint and cause", () => {
    const cause = new Error("below");
    const error = new HarnessError("PORT_TAKEN", "Port 1 is in use.", {
      hint: "Stop it.",
      context: { port: 1 },
      cause,
    });
    expect(error).toMatchObject({ name: "HarnessError", kind: "conflict", hint: "Stop it.", cause });
    expect(error).toBeInstanceOf(Error);
    expect(error.stack).toContain("errors.test.ts");
  });

  test("as JSON has what a caller decides on, and neither stack nor cause", () => {
    const error = new HarnessError("SURVIVORS", "m", { leftBehind: "a database", cause: new Error("secret") });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: "SURVIVORS",
      kind: "failed",
      message: "m",
      leftBehind: "a database",
      context: {},
    });
  });

  test.each(Object.keys(errorCodes) as ErrorCode[])("%s gives its kind", (code) => {
    expect(new HarnessError(code, "m").kind).toBe(errorCodes[code]);
  });
});

test("whatever is thrown becomes a HarnessError: ours stays, a full disk is told apart, the rest is a bug", () => {
  const ours = new HarnessError("USAGE", "m");
  expect(asHarnessError(ours)).toBe(ours);
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  expect(asHarnessError(full)).toMatchObject({ code: "DISK_FULL", kind: "unavailable", cause: full });
  expect(asHarnessError(new TypeError("x is undefined"))).toMatchObject({
    code: "INTERNAL",
    message: "x is undefined",
  });
  for (const odd of ["text", undefined, null, 3, {}]) expect(asHarnessError(odd).code).toBe("INTERNAL");
});

test("errorNumber and errorText take what they can get", () => {
  expect(errorNumber(Object.assign(new Error("x"), { code: "ENOENT" }))).toBe("ENOENT");
  expect([new Error("x"), { code: 5 }, null, "ENOENT"].map(errorNumber)).toEqual(Array(4).fill(undefined));
  expect(errorText(new AggregateError([new Error("a"), "b"]))).toBe("a; b");
  expect(errorText(new AggregateError([new Error("a")], "all"))).toBe("all");
  expect(errorText("word")).toBe("word");
});
