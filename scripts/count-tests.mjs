// Sums vitest's JSON reports up into the last line that scripts/test prints: "N passed, N failed" (and ", N skipped").
// ALLOWED_SKIPS: lines "beginning of the test's name | reason"; under CI=true no other test may be skipped.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder = "", status = "0"] = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };
const skipped = [];
for (const file of existsSync(folder) ? readdirSync(folder) : []) {
  const report = JSON.parse(readFileSync(join(folder, file), "utf8"));
  counts.passed += report.numPassedTests;
  counts.failed +=
    report.numFailedTests +
    report.testResults.filter((one) => one.status === "failed" && one.assertionResults.length === 0).length;
  for (const one of report.testResults.flatMap((result) => result.assertionResults)) {
    if (["skipped", "pending", "todo"].includes(one.status)) skipped.push(one.fullName);
  }
}
counts.skipped = skipped.length;
const allowed = (process.env.ALLOWED_SKIPS ?? "").split("\n").flatMap((line) => {
  const [name = "", reason = ""] = line.split(" | ");
  return name.trim() === "" ? [] : [{ name: name.trim(), reason: reason.trim() }];
});
const reasonOf = (test) => allowed.find(({ name }) => test.startsWith(name))?.reason;
for (const name of skipped)
  console.log(`skipped: ${name}${reasonOf(name) === undefined ? "" : ` (${reasonOf(name)})`}`);
const forbidden = process.env.CI === "true" ? skipped.filter((name) => reasonOf(name) === undefined).length : 0;
if (forbidden > 0)
  console.log(`Under CI only the skips listed in scripts/test are allowed; ${forbidden} others were there.`);
counts.failed += forbidden;
// A check that failed without a failed test still has to show in the last line.
if (status !== "0" && counts.failed === 0) counts.failed = 1;
const skips = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`;
console.log(`${counts.passed} passed, ${counts.failed} failed${skips}`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
