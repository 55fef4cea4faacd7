import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { harnessDatabase, reaperProcessName } from "../shared/names.ts";
import { type HomePaths, removeFolder } from "../shared/paths.ts";
import { findProcesses } from "../shared/processes.ts";
import { infraPorts } from "../shared/settings.ts";
import { findOwn } from "./compose/find-own.ts";
import { findLastEngine, wasUsed } from "./compose/last-engine.ts";
import { type Credentials, ensureCredentials, newCredentials } from "./credentials.ts";
import type { DriverContext } from "./driver.ts";
import { openDriver } from "./open-driver.ts";
import { findRecord, type InfraRecord } from "./record.ts";
import type { DriverName } from "./services.ts";
import type { InfraOptions } from "./up.ts";

type DownOptions = Pick<InfraOptions, "paths" | "config" | "env" | "progress">;

/** Stops our services and keeps their data. External ones are left alone. Returns the names of what was stopped. */
export async function infraDown(options: DownOptions): Promise<string[]> {
  return await withInfraLock(options.paths, async () => {
    const stopped: string[] = [];
    for (const [name, context] of await contextsOf(options, { data: false })) {
      await using driver = await openDriver(name, context);
      stopped.push(...(await driver.stop()));
    }
    await stopIdleDaemon(options.paths);
    await rm(options.paths.infra, { force: true });
    return stopped;
  });
}

/** Stops our services and deletes all their data: every database and bucket on this machine. Needs `force`. */
export async function infraDestroy(options: DownOptions & { force: boolean }): Promise<string[]> {
  const { paths, force } = options;
  if (!force) {
    throw new HarnessError(
      "CONFIRMATION_NEEDED",
      `This deletes every agent's database and bucket, all snapshots, and ${harnessDatabase}, the harness's own database.`,
      { hint: "Run: agent-harness infra destroy --force", leftBehind: "everything: nothing was touched" },
    );
  }
  return await withInfraLock(paths, async () => {
    const deleted: string[] = [];
    // Both drivers' data: what is left of either could not be opened once the credentials are gone.
    for (const [name, context] of await contextsOf(options, { data: true })) {
      await using driver = await openDriver(name, context);
      await driver.stop();
      deleted.push(...(await driver.destroy()));
    }
    await stopIdleDaemon(paths);
    await removeFolder(paths.compose, paths.home);
    await rm(paths.infra, { force: true });
    await rm(paths.credentials, { force: true });
    return deleted;
  });
}

/** With either driver PM2 runs the stacks' processes; with nothing left to look after, its daemon goes too. */
async function stopIdleDaemon(paths: HomePaths): Promise<void> {
  await using processes = await findProcesses(paths.pm2);
  if (processes === undefined) return;
  // A reaper has nothing to do without stacks.
  const needed = (await processes.list()).filter((one) => one.name !== reaperProcessName);
  if (needed.length === 0) await processes.stopDaemon();
}

/** The drivers that may have something running, or with `data` something at all, each with what it is opened with. */
async function contextsOf(options: DownOptions, { data }: { data: boolean }): Promise<[DriverName, DriverContext][]> {
  const record = await findRecord(options.paths);
  const credentials = await findCredentials(options.paths);
  const contexts: [DriverName, DriverContext][] = [];
  const isPossible = (name: DriverName): boolean => data || record === undefined || record.driver === name;
  if (isPossible("compose") && (await wasUsed(options.paths))) {
    const context = await contextOfCompose(options, record, credentials, data);
    if (context !== undefined) contexts.push(["compose", context]);
  }
  if (isPossible("embedded")) {
    const { paths, config, env, progress } = options;
    const known = { credentials: credentials ?? newCredentials(), record: record ?? { ports: infraPorts(env) } };
    contexts.push(["embedded", { paths, config, env, progress, ...known }]);
  }
  return contexts;
}

/** Credentials that cannot be read are no reason to keep what only they would open. */
async function findCredentials(paths: HomePaths): Promise<Credentials | undefined> {
  try {
    return await ensureCredentials(paths);
  } catch (error) {
    if (error instanceof HarnessError && error.code === "HOME_UNUSABLE") return undefined;
    throw error;
  }
}

/** What the containers and volumes themselves tell of us; undefined when there are none. */
async function contextOfCompose(
  { paths, config, env, progress }: DownOptions,
  record: InfraRecord | undefined,
  credentials: Credentials | undefined,
  data: boolean,
): Promise<DriverContext | undefined> {
  const mark = credentials === undefined ? { home: paths.home } : { machine: credentials.machine };
  const found = await findOwn(mark, env, { known: record?.compose ?? (await findLastEngine(paths)), data }).catch(
    (error: unknown) => {
      // Nothing says that anything runs there: an engine that is away has nothing to stop.
      const isAway = error instanceof HarnessError && error.kind === "unavailable";
      if (isAway && record === undefined && !data) return undefined;
      throw error;
    },
  );
  if (found === undefined) return undefined;
  const { machine, ports = infraPorts(env), compose } = found;
  return {
    ...{ paths, config, env, progress },
    credentials: { ...(credentials ?? newCredentials()), machine },
    record: { ports: record?.ports ?? ports, compose: record?.compose ?? compose },
  };
}

const withInfraLock = async <T>(paths: HomePaths, run: () => Promise<T>): Promise<T> =>
  await withLock(join(paths.home, "locks", "infra"), { doing: "starting or stopping infra" }, run);
