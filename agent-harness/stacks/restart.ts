import { setTimeout as delay } from "node:timers/promises";
import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { openProcesses } from "../shared/processes.ts";
import { selectProcesses } from "./find-process.ts";
import { lastLines, processHealth } from "./health.ts";
import type { Ledger } from "./ledger.ts";
import { readApps } from "./process-file.ts";

/** How long a restarted process may take to be healthy again, in ms. */
const restartLimitMs = 60_000;

/** Restarts one process of a stack, or all, and returns their names when they are healthy again. */
export async function restart(paths: HomePaths, ledger: Ledger, word?: string): Promise<string[]> {
  const chosen = selectProcesses(ledger, word);
  const names = new Set(chosen.map((one) => one.name));
  const apps = (await readApps(ledger)).filter((app) => names.has(app.name));
  await using pm2 = await openProcesses(paths.pm2);
  await pm2.start(apps);
  const end = Date.now() + restartLimitMs;
  for (const process of chosen) {
    for (;;) {
      const status = (await pm2.list()).find((one) => one.name === process.name);
      const reason = await processHealth(process, status);
      if (reason === undefined) break;
      if (Date.now() > end || (status?.restarts ?? 1) > 0) {
        throw new HarnessError(
          "HEALTH_FAILED",
          `${process.name} is not healthy after its restart: ${reason}.\n${await lastLines(process.logFile, 20)}`,
          { hint: `Look at it: agent-cli ${ledger.id} logs ${process.process}` },
        );
      }
      await delay(25);
    }
  }
  return chosen.map((one) => one.process);
}
