import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { InfraConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { harnessDatabase } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, withStep } from "../shared/progress.ts";
import { openBuckets } from "./buckets.ts";
import { chooseDriver, type StackOnInfra } from "./choose-driver.ts";
import { agreeOnCompose } from "./compose/agree.ts";
import { ensureCredentials } from "./credentials.ts";
import { maintenanceDatabase } from "./databases.ts";
import type { InfraDriver } from "./driver.ts";
import { checkService } from "./health.ts";
import { findLostRecord } from "./lost-record.ts";
import { openDriver } from "./open-driver.ts";
import { agreeOnPorts, findRecord, type InfraRecord, newRecord, writeRecord } from "./record.ts";
import { resolveInfra } from "./resolve.ts";
import { type Infra, type ServiceId, serviceIds } from "./services.ts";
import { sqlName, withSql } from "./sql.ts";
import { canReflink } from "./strategy.ts";

/** The seed's two buckets, shared by everybody. */
const sharedBuckets = ["default", "results"];

export interface InfraOptions {
  paths: HomePaths;
  config: InfraConfig;
  env: Readonly<Record<string, string | undefined>>;
  /** The living stacks: what they use is not restarted under them, nor is its driver changed. */
  stacks: readonly StackOnInfra[];
  progress: Progress;
}

/** Starts every service that does not answer and is ours to start; returns where they all are. Two callers take turns. */
export async function infraUp(options: InfraOptions): Promise<Infra> {
  const { paths, config, env, progress } = options;
  const before = await resolveInfra(paths, config, env);
  await mkdir(paths.logs, { recursive: true, mode: 0o700 });
  return await withLock(
    join(paths.home, "locks", "infra"),
    {
      doing: "starting or stopping infra",
      timeoutMs: 300_000,
      onWait: (holder) => progress({ type: "note", text: `Waiting for pid ${holder.pid}: ${holder.doing}.` }),
    },
    async () => {
      const wanted = serviceIds.filter((id) => !before[id].external);
      for (const id of serviceIds.filter((one) => before[one].external)) await requireExternal(before, id, progress);
      if (wanted.length > 0) await startOurs(wanted, options);
      const infra = await resolveInfra(paths, config, env);
      await withStep(progress, "harness database and shared buckets", () => ensureShared(infra));
      return infra;
    },
  );
}

async function requireExternal(infra: Infra, id: ServiceId, progress: Progress): Promise<void> {
  const health = await checkService(infra, id);
  if (health.healthy) return progress({ type: "skip", step: id, text: `external: ${health.detail}` });
  throw new HarnessError("INFRA_DOWN", `The external ${id} of the config does not work: ${health.detail}`, {
    hint: `Start it, or take infra.${id} out of agent-harness.yml to let agent-harness run its own.`,
  });
}

/** Starts those of our own services that do not run, by the driver that fits, and writes down what they run with. */
async function startOurs(wanted: readonly ServiceId[], options: InfraOptions): Promise<void> {
  const { paths, config, env, stacks, progress } = options;
  const known = (await findRecord(paths)) ?? (await findLostRecord(paths, env));
  const chosen = await chooseDriver({ paths, config, env, record: known, services: wanted, stacks });
  progress({ type: "note", text: `driver: ${chosen.name} (${chosen.reason})` });
  const ports = agreeOnPorts(known, env);
  const credentials = await ensureCredentials(paths);
  const context = { paths, credentials, config, env, progress };
  const record = known?.driver === chosen.name ? { ...known, ports } : newRecord(chosen.name, ports);
  if (chosen.name === "compose") {
    record.compose = await agreeOnCompose(known?.compose, env, { machine: credentials.machine, paths });
  }
  await using driver = await openDriver(chosen.name, { ...context, record });
  // Only now: a driver that cannot work here must not have stopped the one that does.
  if (known !== undefined && known.driver !== chosen.name) await switchFrom(known, context);
  // Written first: after a crash `down` and `up` still know the ports of what may run.
  await writeRecord(paths, record);
  const infra = await resolveInfra(paths, config, env);
  const missing = await findMissing(driver, infra, wanted, record, options);
  try {
    for (const id of missing) delete record.settings[id];
    if (missing.length > 0) {
      await driver.start(missing, infra, async (id) => {
        record.settings[id] = await driver.settingsHash(id);
      });
    }
    if (record.driver === "embedded" && !infra.postgres.external) {
      // Once, now that the folder is there: every launch would get the same answer.
      record.reflink ??= await canReflink(paths.postgresData);
    }
  } finally {
    await writeRecord(paths, record);
  }
}

/** Both drivers use the same ports: the one that ran goes first, and keeps its data. */
async function switchFrom(
  known: InfraRecord,
  context: Omit<Parameters<typeof openDriver>[1], "record">,
): Promise<void> {
  const { progress } = context;
  try {
    await using before = await openDriver(known.driver, { ...context, record: known });
    progress({ type: "note", text: `The services of the driver ${known.driver} are stopped; their data is kept.` });
    await before.stop();
  } catch (error) {
    if (!(error instanceof HarnessError) || error.code !== "DOCKER_UNAVAILABLE") throw error;
    // An engine that is gone runs nothing, and must not keep infra from running without it.
    progress({ type: "note", text: `${error.message} What it has of infra is left as it is.` });
  }
}

/** The services to start: those that do not run or do not answer, and those whose settings changed, unless a stack uses them. */
async function findMissing(
  driver: InfraDriver,
  infra: Infra,
  wanted: readonly ServiceId[],
  record: InfraRecord,
  { stacks, progress }: InfraOptions,
): Promise<ServiceId[]> {
  const views = await driver.look();
  const inUse = stacks.length > 0;
  const missing: ServiceId[] = [];
  for (const id of wanted) {
    const health = views.get(id)?.running ? await checkService(infra, id) : undefined;
    const startedWith = record.settings[id];
    const changed = startedWith !== undefined && startedWith !== (await driver.settingsHash(id));
    if (!health?.healthy || (changed && !inUse)) missing.push(id);
    else progress({ type: "skip", step: id, text: `already up: ${health.detail}` });
    if (health?.healthy && changed) progress({ type: "note", text: changedNote(id, inUse) });
  }
  return missing;
}

const changedNote = (id: ServiceId, inUse: boolean): string =>
  inUse
    ? `${id} still runs with its earlier settings, because stacks use it. To apply the new ones: agent-harness teardown-all --everywhere, then agent-harness infra up`
    : `${id} is started again: its settings changed.`;

async function ensureShared(infra: Infra): Promise<void> {
  await Promise.all([ensureHarnessDatabase(infra), ensureSharedBuckets(infra)]);
}

async function ensureSharedBuckets(infra: Infra): Promise<void> {
  const buckets = openBuckets(infra.s3);
  for (const name of sharedBuckets) {
    await buckets.ensure(name, { machine: infra.machine, kind: "shared" }, { adopt: true });
  }
}

async function ensureHarnessDatabase(infra: Infra): Promise<void> {
  await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const { rows } = await sql.query("SELECT 1 FROM pg_database WHERE datname = $1", [harnessDatabase]);
    if (rows.length === 0) await sql.query(`CREATE DATABASE ${sqlName(harnessDatabase)} TEMPLATE template0`);
  });
}
