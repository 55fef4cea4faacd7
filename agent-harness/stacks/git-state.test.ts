import { mkdtemp, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { git } from "../testing/small.ts";
import { gitState } from "./git-state.ts";

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-git-state-")));
});
afterEach(async () => await rm(folder, { recursive: true }));

test("a folder outside of git has no state", async () => {
  expect(await gitState(folder)).toBeUndefined();
  expect(await gitState(join(folder, "gone"))).toBeUndefined();
});

test("the branch, the commit, and how many files are changed or new, each counted once", async () => {
  await git(folder, "init", "-q");
  expect(await gitState(folder)).toEqual({ branch: "main", changed: 0 });
  for (const name of ["a", "b", "c", "ignored"]) await writeFile(join(folder, name), `${name}\n`.repeat(20));
  await writeFile(join(folder, ".gitignore"), "ignored\n");
  await git(folder, "add", "-A");
  await git(folder, "commit", "-qm", "start");
  const head = (await git(folder, "rev-parse", "--short=8", "HEAD")).trim();
  expect(await gitState(folder)).toEqual({ branch: "main", head, changed: 0 });
  await rename(join(folder, "a"), join(folder, "renamed"));
  await git(folder, "add", "-A");
  await rm(join(folder, "b"));
  await writeFile(join(folder, "c"), "changed");
  await writeFile(join(folder, "1 new\nfile"), "");
  expect(await gitState(folder)).toEqual({ branch: "main", head, changed: 4 });
  await git(folder, "checkout", "-q", "--detach");
  expect(await gitState(folder)).toEqual({ head, changed: 4 });
});
