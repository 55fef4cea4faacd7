import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ensureHome,
  harnessHome,
  homePaths,
  isRoot,
  isWithin,
  packageRoot,
  removeFolder,
  templatePath,
} from "./paths.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-paths-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("removeFolder", () => {
  test("deletes what lies below, whole; gone is gone", async () => {
    await mkdir(join(folder, "a/b"), { recursive: true });
    await writeFile(join(folder, "a/b/c"), "");
    await removeFolder(join(folder, "a"), folder);
    await removeFolder(join(folder, "a"), folder);
    expect(await readdir(folder)).toEqual([]);
  });

  test.each(["", ".", "..", "../other", "a/../..", `..${sep}`, "/", "/etc"])("refuses %j", async (path) => {
    await writeFile(join(folder, "kept"), "");
    const target = path.startsWith("/") ? path : `${folder}/${path}`;
    await expect(removeFolder(target, folder)).rejects.toMatchObject({
      code: "INTERNAL",
      message: `Refusing to delete ${target}: it does not lie below ${folder}.`,
    });
    expect(existsSync(join(folder, "kept"))).toBe(true);
  });

  test("refuses a neighbour whose name begins like the folder's", async () => {
    await mkdir(join(folder, "home-2"));
    await expect(removeFolder(join(folder, "home-2"), join(folder, "home"))).rejects.toThrow("Refusing");
    expect(await readdir(folder)).toEqual(["home-2"]);
  });

  test("deletes a link, never what it leads to", async () => {
    await mkdir(join(folder, "outside"));
    await writeFile(join(folder, "outside/precious"), "");
    await mkdir(join(folder, "home"));
    await symlink(join(folder, "outside"), join(folder, "home/link"));
    await removeFolder(join(folder, "home/link"), join(folder, "home"));
    expect(await readdir(join(folder, "outside"))).toEqual(["precious"]);
    expect(await readdir(join(folder, "home"))).toEqual([]);
  });
});

test("isWithin", () => {
  const within = (path: string) => isWithin("/a/b", path);
  expect(["/a/b", "/a/b/c", "/a/b/..c", "/a/b/../b/c"].map(within)).toEqual([true, true, true, true]);
  expect(["/a", "/a/bc", "/a/b/..", "/a/b/../c", "/"].map(within)).toEqual([false, false, false, false, false]);
});

test("the home is the chosen one, absolute, else the user's", () => {
  expect(harnessHome({ AGENT_HARNESS_HOME: "/x/y/" })).toBe("/x/y");
  expect(harnessHome({ AGENT_HARNESS_HOME: "x" })).toBe(join(process.cwd(), "x"));
  const usual = isRoot() ? "/var/lib/agent-harness" : "/home/me/.agent-harness";
  expect(harnessHome({ HOME: "/home/me" })).toBe(usual);
  expect(harnessHome({ HOME: "/home/me", AGENT_HARNESS_HOME: "" })).toBe(usual);
});

test("every place of the home lies below it", () => {
  for (const [name, path] of Object.entries(homePaths("/h"))) if (name !== "home") expect(path).toMatch(/^\/h\/./);
});

test("a home that is too long for a socket, or cannot be made, is refused by name", async () => {
  const long = join(folder, "x".repeat(80));
  await expect(ensureHome(homePaths(long))).rejects.toMatchObject({
    code: "HOME_UNUSABLE",
    message: expect.stringContaining(long),
    hint: expect.stringContaining("AGENT_HARNESS_HOME"),
  });
  expect(existsSync(long)).toBe(false);
  await writeFile(join(folder, "file"), "");
  await expect(ensureHome(homePaths(join(folder, "file/home")))).rejects.toMatchObject({ code: "HOME_UNUSABLE" });
});

test("the package's root holds its package.json and its templates", () => {
  expect(existsSync(join(packageRoot(), "package.json"))).toBe(true);
  expect(existsSync(templatePath("env.agent.hbs"))).toBe(true);
});
