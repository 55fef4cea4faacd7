import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { findText, writeFileAtomic } from "../shared/files.ts";
import { withLock } from "../shared/lock.ts";
import { reaperProcessName } from "../shared/names.ts";
import { type HomePaths, packageRoot } from "../shared/paths.ts";
import { killTree, startTimeOf } from "../shared/process-tree.ts";
import { findProcesses, openProcesses, toApp } from "../shared/processes.ts";
import { processEnv } from "./env.ts";
import { type Ledger, listLedgers } from "./ledger.ts";
import { isWatched } from "./lifetime.ts";

/*
 * The life of the reaper, one process a home under our PM2. Whether there should be one follows from the ledgers alone, so
 * any command that reads stacks can set it right: start one that was killed, end one that has nothing to watch.
 */

type Env = Readonly<Record<string, string | undefined>>;

const record = z.object({
  pid: z.int(),
  started: z.string(),
  /** It has found nothing to watch and is on its way out: whoever needs a reaper starts another. */
  ending: z.boolean().optional(),
});

/** The exit code of a reaper that is not needed. Any other end has PM2 start it again; to PM2 a signal is a code of 0. */
export const notNeeded = 64;

const lockOf = (paths: HomePaths): string => join(paths.home, "locks", "reaper");

/** Every stack that the reaper has to look at. */
export async function listWatched(paths: HomePaths): Promise<Ledger[]> {
  return (await listLedgers(paths)).filter(isWatched);
}

/** Sees to it that a reaper runs when a stack has a limit, and none when no stack has. */
export async function settleReaper(paths: HomePaths, env: Env): Promise<void> {
  const before = await look(paths);
  if (before.pid === process.pid || isSettled(before)) return;
  await withLock(lockOf(paths), { doing: "starting or ending the reaper" }, async () => {
    const now = await look(paths);
    if (isSettled(now)) return;
    if (now.wanted) await start(paths, env);
    else await end(paths, now.pid);
  });
}

/** Writes down that this process is the reaper; false when another one is. */
export async function becomeReaper(paths: HomePaths): Promise<boolean> {
  return await withLock(lockOf(paths), { doing: "becoming the reaper" }, async () => {
    const { pid } = await look(paths);
    if (pid !== undefined && pid !== process.pid) return false;
    await write(paths, process.pid);
    return true;
  });
}

/** Ends this process, the reaper, unless a stack has got a limit meanwhile. Does not come back where PM2 runs us. */
export async function endReaper(paths: HomePaths): Promise<boolean> {
  return await withLock(lockOf(paths), { doing: "ending the reaper" }, async () => {
    if ((await look(paths)).wanted) return false;
    await write(paths, process.pid, true);
    await end(paths, undefined);
    return true;
  });
}

interface Found {
  /** Whether there is something to watch. */
  wanted: boolean;
  /** The reaper that runs, and goes on running. */
  pid?: number;
  /** Whether there was one, of which PM2 may still know. */
  traces: boolean;
}

const isSettled = ({ wanted, pid, traces }: Found): boolean => (wanted ? pid !== undefined : !traces);

async function look(paths: HomePaths): Promise<Found> {
  const wanted = (await listWatched(paths)).length > 0;
  const text = await findText(paths.reaper);
  const known = parse(text ?? "");
  const stays = known !== undefined && known.ending !== true && (await startTimeOf(known.pid)) === known.started;
  return { wanted, traces: text !== undefined, ...(stays ? { pid: known.pid } : {}) };
}

function parse(text: string): z.output<typeof record> | undefined {
  try {
    return record.parse(JSON.parse(text));
  } catch {
    // None, or half of one.
    return undefined;
  }
}

async function write(paths: HomePaths, pid: number, ending = false): Promise<void> {
  const started = await startTimeOf(pid);
  if (started !== undefined) await writeFileAtomic(paths.reaper, JSON.stringify({ pid, started, ending }));
}

async function start(paths: HomePaths, env: Env): Promise<void> {
  await using pm2 = await openProcesses(paths.pm2);
  await pm2.start([app(paths, env)]);
  const pid = (await pm2.list()).find((one) => one.name === reaperProcessName)?.pid;
  if (pid !== undefined) await write(paths, pid);
}

function app(paths: HomePaths, env: Env) {
  // Where infra is, and the like, as the command has it that needed a reaper first.
  const settings = Object.entries(env).flatMap(([key, value]) =>
    key.startsWith("AGENT_") && !ofOneCommand.includes(key) && value !== undefined ? [[key, value]] : [],
  );
  const own = { ...Object.fromEntries(settings), AGENT_HARNESS_HOME: paths.home };
  const spec = {
    name: reaperProcessName,
    script: process.execPath,
    args: [join(packageRoot(), "dist", "bin", "agent-harness.js"), "reaper"],
    cwd: paths.home,
    env: processEnv(own, (env["PATH"] ?? process.env["PATH"] ?? "").split(":")),
    logFile: join(paths.logs, "reaper.log"),
  };
  return { ...toApp(spec), stop_exit_codes: [notNeeded] };
}

const ofOneCommand = ["AGENT_ID", "AGENT_HARNESS_CONFIG", "AGENT_HARNESS_MARK"];

/** The record last: until it is gone, the next command that settles ends what was not ended. A reaper that ends itself gets no further than PM2. */
async function end(paths: HomePaths, pid: number | undefined): Promise<void> {
  const pm2 = await findProcesses(paths.pm2);
  await using open = pm2;
  await open?.remove([reaperProcessName]);
  // One whose PM2 daemon was killed.
  if (pid !== undefined) await killTree(pid);
  await rm(paths.reaper, { force: true });
}
