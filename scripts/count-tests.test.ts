import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = fileURLToPath(new URL("count-tests.mjs", import.meta.url));
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-count-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Writes a report as vitest's JSON reporter does, with tests of these outcomes. */
async function report(name: string, statuses: readonly string[], crashedFiles = 0): Promise<void> {
  const assertionResults = statuses.map((status, at) => ({ status, fullName: `${name} test ${at}` }));
  const count = (status: string): number => statuses.filter((one) => one === status).length;
  const crashed = Array.from({ length: crashedFiles }, () => ({ status: "failed", assertionResults: [] }));
  const results = {
    numPassedTests: count("passed"),
    numFailedTests: count("failed"),
    testResults: [{ status: count("failed") > 0 ? "failed" : "passed", assertionResults }, ...crashed],
  };
  await writeFile(join(folder, `${name}.json`), JSON.stringify(results));
}

function run({ status = "0", ci = "", allowed = "" } = {}): { exitCode: number | null; lines: string[] } {
  const env = { PATH: process.env["PATH"], CI: ci, ALLOWED_SKIPS: allowed };
  const { status: exitCode, stdout } = spawnSync(process.execPath, [script, folder, status], { env, encoding: "utf8" });
  return { exitCode, lines: stdout.trimEnd().split("\n") };
}

test("sums all reports up into the last line; green is exit 0", async () => {
  await report("fast", ["passed", "passed"]);
  await report("live", ["passed"]);
  expect(run({ ci: "true" })).toEqual({ exitCode: 0, lines: ["3 passed, 0 failed"] });
});

test("a failed test is counted, and is exit 1", async () => {
  await report("fast", ["passed", "failed"]);
  expect(run({ status: "1" })).toEqual({ exitCode: 1, lines: ["1 passed, 1 failed"] });
});

test("a test file that could not be loaded counts as failed, though none of its tests did", async () => {
  await report("fast", ["passed"], 2);
  expect(run()).toEqual({ exitCode: 1, lines: ["1 passed, 2 failed"] });
});

test("a check that failed without a test shows as one failed", async () => {
  await report("fast", ["passed"]);
  expect(run({ status: "1" })).toEqual({ exitCode: 1, lines: ["1 passed, 1 failed"] });
});

test("no tests at all is no pass, with or without reports", async () => {
  const none = { exitCode: 1, lines: ["0 passed, 0 failed"] };
  expect(run()).toEqual(none);
  await report("fast", []);
  expect(run()).toEqual(none);
});

test("skipped tests are named; under CI they are exit 1, elsewhere they are not", async () => {
  await report("live", ["passed", "skipped", "pending", "todo"]);
  const named = ["skipped: live test 1", "skipped: live test 2", "skipped: live test 3"];
  expect(run()).toEqual({ exitCode: 0, lines: [...named, "1 passed, 0 failed, 3 skipped"] });
  const underCi = run({ ci: "true" });
  expect(underCi.exitCode).toBe(1);
  expect(underCi.lines).toEqual([
    ...named,
    "Under CI only the skips listed in scripts/test are allowed; 3 others were there.",
    "1 passed, 3 failed, 3 skipped",
  ]);
});

test("an allowed skip is named with its reason, and is no failure under CI", async () => {
  await report("live", ["passed", "skipped"]);
  expect(run({ ci: "true", allowed: "\nlive test | no such tool\n" })).toEqual({
    exitCode: 0,
    lines: ["skipped: live test 1 (no such tool)", "1 passed, 0 failed, 1 skipped"],
  });
});
