import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { describeError } from "./error-path.ts";

let workdir = "";
beforeEach(() => {
  workdir = realpathSync(mkdtempSync(join(tmpdir(), "error-path-")));
  for (const path of ["packages/api/src/a.ts", "packages/web/src/b.ts", "packages/api/src/b.ts", "sub/x_test.go"]) {
    mkdirSync(dirname(join(workdir, path)), { recursive: true });
    writeFileSync(join(workdir, path), "");
  }
});
afterEach(() => rmSync(workdir, { recursive: true }));

const say = (file: string, more: { folders?: string[]; folder?: string; cwd?: string } = {}): Promise<string> =>
  describeError(
    { file, line: 3, message: "it's\n  wrong", folders: more.folders ?? [], folder: more.folder },
    { workdir, cwd: join(workdir, more.cwd ?? ".") },
  );

test("a path becomes relative to the working directory, wherever the tool stood", async () => {
  expect(await say("packages/api/src/a.ts")).toBe("packages/api/src/a.ts:3 it's wrong");
  expect(await say("src/a.ts", { cwd: "packages/api" })).toBe("packages/api/src/a.ts:3 it's wrong");
  expect(await say("../api/src/a.ts", { cwd: "packages/web" })).toBe("packages/api/src/a.ts:3 it's wrong");
  expect(await say(join(workdir, "packages/api/src/a.ts"))).toBe("packages/api/src/a.ts:3 it's wrong");
  expect(await say(`file://${workdir}/packages/api/src/a.ts`)).toBe("packages/api/src/a.ts:3 it's wrong");
  expect(await say("src/b.ts", { folders: ["packages/web"] })).toBe("packages/web/src/b.ts:3 it's wrong");
  expect(await say("src/b.ts", { folders: [join(workdir, "packages/web")] })).toMatch(/^packages\/web\/src\/b.ts:3 /);
});

test("in a folder that nobody told us, the end of the path decides when it is unique", async () => {
  expect(await say("src/a.ts")).toBe("packages/api/src/a.ts:3 it's wrong");
  expect(await say("./src/a.ts")).toBe("packages/api/src/a.ts:3 it's wrong");
  expect(await say("src/b.ts")).toBe("src/b.ts:3 it's wrong");
  expect(await say("src/b.ts", { folder: "example.com/m/packages/web" })).toMatch(/^packages\/web\/src\/b.ts:3 /);
  expect(await say("x_test.go", { folder: "example.com/m/sub" })).toBe("sub/x_test.go:3 it's wrong");
});

test("what lies elsewhere stays as it was printed", async () => {
  expect(await say("/etc/hosts")).toBe("/etc/hosts:3 it's wrong");
  expect(await say("nowhere.ts")).toBe("nowhere.ts:3 it's wrong");
});

test("a working directory that is a link", async () => {
  const link = `${workdir}-link`;
  symlinkSync(workdir, link);
  try {
    const place = { workdir: link, cwd: link };
    const error = { file: join(workdir, "sub/x_test.go"), line: 1, message: "m", folders: [] };
    expect(await describeError(error, place)).toBe("sub/x_test.go:1 m");
    expect(await describeError({ ...error, file: join(link, "sub/x_test.go") }, place)).toBe("sub/x_test.go:1 m");
  } finally {
    rmSync(link);
  }
});

test("without a line, and without a file", async () => {
  const place = { workdir, cwd: workdir };
  expect(await describeError({ file: "sub/x_test.go", message: "m", folders: [] }, place)).toBe("sub/x_test.go m");
  expect(await describeError({ message: "m".repeat(600), folders: [] }, place)).toBe(`${"m".repeat(499)}…`);
});
