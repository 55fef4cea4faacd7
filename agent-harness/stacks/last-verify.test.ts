import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type HomePaths, homePaths, stackFolder } from "../shared/paths.ts";
import { emptyLedger } from "./empty-ledger.ts";
import { findVerdict, keepVerdict } from "./last-verify.ts";
import { writeLedger } from "./ledger.ts";

let paths: HomePaths;
beforeEach(async () => {
  paths = homePaths(await mkdtemp(join(tmpdir(), "ah-verdict-")));
});
afterEach(async () => await rm(paths.home, { recursive: true }));

test("a verdict is kept beside the ledger, the last one only", async () => {
  await writeLedger(paths, emptyLedger({ id: 3, project: "p", repository: "/r", workdir: "/r", configPath: "/r/x" }));
  expect(await findVerdict(paths, 3)).toBeUndefined();
  await keepVerdict(paths, 3, { status: "fail", full: false, only: ["lint"] });
  await keepVerdict(paths, 3, { status: "pass", full: true });
  expect(await findVerdict(paths, 3)).toEqual({ status: "pass", full: true, at: expect.stringMatching(/^\d{4}-.*Z$/) });
});

test("for a stack that is gone nothing is kept, no folder either", async () => {
  await keepVerdict(paths, 4, { status: "pass", full: true });
  expect(await readdir(paths.home)).toEqual([]);
});

test("what cannot be understood is none", async () => {
  const folder = stackFolder(3, paths.home);
  await mkdir(folder, { recursive: true });
  for (const text of ["", "{", '{"status":"maybe"}']) {
    await writeFile(join(folder, "verify.json"), text);
    expect(await findVerdict(paths, 3)).toBeUndefined();
  }
});
