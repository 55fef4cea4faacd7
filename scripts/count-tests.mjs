// Sums vitest's JSON reports up into the last line that scripts/test prints: "N passed, N failed, N skipped".
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
for (const name of skipped) console.log(`skipped: ${name}`);
const forbidden = process.env.CI === "true" ? skipped.length : 0;
if (forbidden > 0) console.log(`Under CI nothing may be skipped, and ${forbidden} tests were.`);
// A check that failed without a failed test still has to show in the last line.
if (status !== "0" && counts.failed === 0) counts.failed = 1;
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed > 0 || forbidden > 0 || counts.passed === 0 ? 1 : 0;
