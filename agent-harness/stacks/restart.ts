import { withLock } from "../shared/lock.ts";
import type { HomePaths } from "../shared/paths.ts";
import { killAll, listMarked } from "../shared/process-tree.ts";
import { type App, openProcesses } from "../shared/processes.ts";
import { selectProcesses } from "./find-process.ts";
import { waitHealthy } from "./health.ts";
import { getLedger, type Ledger, type LedgerProcess, writeLedger } from "./ledger.ts";
import { markVariable } from "./plan.ts";
import { readApps } from "./process-file.ts";
import { stackLock } from "./registry.ts";

/** For ledgers that do not say, in ms: the config's own defaults. */
const older = { healthTimeoutMs: 60_000, settleMs: 1500 };

/**
 * Restarts one process of a stack, or all, and returns their names when they are healthy again, by the same measure as at
 * the launch. Waits for a launch, reset or teardown of the stack that is under way.
 */
export async function restart(paths: HomePaths, { id }: Pick<Ledger, "id">, word?: string): Promise<string[]> {
  const lock = { doing: `restarting processes of agent ${id}`, timeoutMs: 180_000 };
  return await withLock(stackLock(paths, id), lock, async () => {
    // Read only now: another command may have changed the stack, or taken it away, meanwhile.
    const ledger = await getLedger(paths, id);
    const chosen = selectProcesses(ledger, word);
    if (ledger.status !== "stopped") return await startAnew(paths, ledger, chosen);
    // One of them alone would be a stack that is neither stopped nor ready.
    const names = await startAnew(paths, ledger, ledger.processes);
    ledger.status = "ready";
    delete ledger.stopped;
    await writeLedger(paths, ledger);
    return names;
  });
}

/** Starts processes of a stack anew and returns their names when they are healthy. Who calls holds the stack's lock. */
export async function startAnew(paths: HomePaths, ledger: Ledger, chosen: readonly LedgerProcess[]): Promise<string[]> {
  const names = new Set(chosen.map((one) => one.name));
  const apps = (await readApps(ledger)).filter((app) => names.has(app.name));
  await using pm2 = await openProcesses(paths.pm2);
  await pm2.remove(apps.map((app) => app.name));
  await endEscaped(apps);
  await pm2.start(apps);
  const settleMs = Math.max(...chosen.map((one) => one.settleMs ?? older.settleMs));
  await waitHealthy(chosen.map(watched), pm2, { ledger }, settleMs);
  return chosen.map((one) => one.process);
}

/** Ends what left the trees of these processes by a double fork: it has our mark, and the name that PM2 gave its process. */
async function endEscaped(apps: readonly App[]): Promise<void> {
  const named = await listMarked("name", (value) => apps.some((app) => app.name === value));
  if (named.length === 0) return;
  const marks = new Set(apps.map(({ env }) => (env as Record<string, string> | undefined)?.[markVariable]));
  const marked = new Set((await listMarked(markVariable, (value) => marks.has(value))).map((one) => one.pid));
  await killAll(named.filter((one) => marked.has(one.pid)));
}

const watched = ({ process, name, logFile, port, healthUrl, healthTimeoutMs }: LedgerProcess) => ({
  name: process,
  spec: { name, logFile },
  ...(port === undefined ? {} : { port }),
  ...(healthUrl === undefined
    ? {}
    : { health: { url: healthUrl, timeoutMs: healthTimeoutMs ?? older.healthTimeoutMs } }),
});
