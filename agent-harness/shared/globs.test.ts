import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listFiles, matchGlobs } from "./globs.ts";

describe("matchGlobs", () => {
  test.each([
    ["src/a.ts", ["src/*.ts"], true],
    ["src/deep/a.ts", ["src/*.ts"], false],
    ["src/deep/a.ts", ["src/**/*.ts"], true],
    ["src/a.ts", ["src/**/*.ts"], true],
    ["a.ts", ["**/*.ts"], true],
    ["x/y/z/a.ts", ["**/*.ts"], true],
    ["src/a.ts", ["**"], true],
    ["src/.env", ["src/**"], true],
    ["src", ["src/**"], false],
    ["srcs/a.ts", ["src/**"], false],
    ["a.ts", ["?.ts"], true],
    ["ab.ts", ["?.ts"], false],
    ["a/b", ["a?b"], false],
    ["a.tsx", ["*.{ts,tsx}"], true],
    ["a.js", ["*.{ts,tsx}"], false],
    ["packages/api/src/x.ts", ["packages/{api,web}/{src,test/**}/*.ts"], true],
    ["packages/web/test/deep/er/x.ts", ["packages/{api,web}/{src,test/**}/*.ts"], true],
    ["a1", ["a{1,{2,3}}"], true],
    ["a3", ["a{1,{2,3}}"], true],
    ["a{1}", ["a{1}"], true],
    ["a{1", ["a{1"], true],
    ["app/[id]/page.tsx", ["app/[id]/*.tsx"], true],
    ["a+b(c).ts", ["a+b(c).ts"], true],
    ["axb", ["a.b"], false],
    ["a*b", ["a\\*b"], true],
    ["axb", ["a\\*b"], false],
    ["migrations/001.sql", ["migrations"], true],
    ["migrations/001.sql", ["migrations/"], true],
    ["migrations/001.sql", ["./migrations"], true],
    ["migrationsx", ["migrations"], false],
    ["line\nbreak.ts", ["*.ts"], true],
  ])("%s in %j: %s", (path, globs, expected) => {
    expect(matchGlobs(path, globs)).toBe(expected);
  });

  test("the last glob that matches decides", () => {
    expect(matchGlobs("src/a.test.ts", ["src/**", "!**/*.test.ts"])).toBe(false);
    expect(matchGlobs("src/a.test.ts", ["!**/*.test.ts", "src/**"])).toBe(true);
    expect(matchGlobs("src/keep.test.ts", ["src/**", "!**/*.test.ts", "src/keep.*"])).toBe(true);
  });

  test("a list that begins with a negation starts from everything; an empty one matches nothing", () => {
    expect(matchGlobs("src/a.ts", ["!docs"])).toBe(true);
    expect(matchGlobs("docs/a.md", ["!docs"])).toBe(false);
    expect(matchGlobs("a", [])).toBe(false);
  });
});

describe("listFiles", () => {
  let folder = "";
  const put = (path: string, text = path): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const git = (...args: string[]): void => {
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], { cwd: folder, stdio: "pipe" });
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "globs-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("in a work tree: tracked and new files, without ignored and deleted ones", async () => {
    git("init", "-q");
    for (const path of ["b.ts", "a.ts", "gone.ts", 'sub/quote".ts', "sub/ümlaut.ts", "ignored/x.ts"]) put(path);
    put(".gitignore", "ignored/\n");
    git("add", "a.ts", "gone.ts", "sub", ".gitignore");
    git("commit", "-qm", "start");
    rmSync(join(folder, "gone.ts"));
    expect(await listFiles(folder, ["**/*.ts"])).toEqual(["a.ts", "b.ts", 'sub/quote".ts', "sub/ümlaut.ts"]);
    expect(await listFiles(join(folder, "sub"), ["*.ts"])).toEqual(['quote".ts', "ümlaut.ts"]);
    expect(await listFiles(join(folder, "ignored"), ["**"])).toEqual(["x.ts"]);
  });

  test("another repository inside the work tree is not ours", async () => {
    git("init", "-q");
    put("a.ts");
    put("agents/1/b.ts");
    execFileSync("git", ["init", "-q"], { cwd: join(folder, "agents/1"), stdio: "pipe" });
    expect(await listFiles(folder, ["**"])).toEqual(["a.ts"]);
  });

  test("what lies behind a link is not ours: node_modules of a worktree is often one", async () => {
    git("init", "-q");
    put("a.ts");
    put("real/b.ts");
    symlinkSync("real", join(folder, "linked"));
    expect(await listFiles(folder, ["**"])).toEqual(["a.ts", "real/b.ts"]);
  });

  test("a hook's variables do not lead to another tree", async () => {
    git("init", "-q");
    put("a.ts");
    process.env["GIT_DIR"] = "/nonexistent";
    try {
      expect(await listFiles(folder, ["**"])).toEqual(["a.ts"]);
    } finally {
      delete process.env["GIT_DIR"];
    }
  });

  test("elsewhere: everything but node_modules and .git, and only what can be read as a file", async () => {
    for (const path of ["z.ts", "a/b.ts", "node_modules/x.ts", "a/node_modules/y.ts"]) put(path);
    symlinkSync("z.ts", join(folder, "link.ts"));
    symlinkSync("nowhere", join(folder, "dangling.ts"));
    symlinkSync("a", join(folder, "folder.ts"));
    expect(await listFiles(folder, ["**"])).toEqual(["a/b.ts", "link.ts", "z.ts"]);
  });

  test("a glob out of the folder is refused", async () => {
    await expect(listFiles(folder, ["../x/**"])).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(listFiles(folder, ["!/etc"])).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});
