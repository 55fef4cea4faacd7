import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { InfraConfig } from "../shared/config-schema.ts";
import { errorNumber, HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { harnessDatabase, serviceProcessName } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { requireFreePorts } from "../shared/ports.ts";
import { openProcesses, type Processes, type ProcessStatus, toApp } from "../shared/processes.ts";
import { type Progress, withStep } from "../shared/progress.ts";
import { openBuckets } from "./buckets.ts";
import { ensureCredentials } from "./credentials.ts";
import { maintenanceDatabase } from "./databases.ts";
import { type EmbeddedOptions, prepareService, serviceLog, settingsHash } from "./embedded.ts";
import { checkService } from "./health.ts";
import { agreeOnRecord, type InfraRecord, writeRecord } from "./record.ts";
import { resolveInfra } from "./resolve.ts";
import { type Infra, type ServiceId, serviceIds } from "./services.ts";
import { sqlName, withSql } from "./sql.ts";
import { canReflink } from "./strategy.ts";
import { stopStrays } from "./strays.ts";

/** How long a service may take from its start to its first answer, in ms. */
const startLimitMs = 60_000;

/** The seed's two buckets, shared by everybody. */
const sharedBuckets = ["default", "results"];

export interface InfraOptions {
  paths: HomePaths;
  config: InfraConfig;
  env: Readonly<Record<string, string | undefined>>;
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
      const record = await agreeOnRecord(paths, env);
      const wanted = serviceIds.filter((id) => !before[id].external);
      for (const id of serviceIds.filter((one) => before[one].external)) await requireExternal(before, id, progress);
      // Written first: after a crash `down` and `up` still know the ports of what may run.
      if (wanted.length > 0) await writeRecord(paths, record);
      const infra = await resolveInfra(paths, config, env);
      await startMissing(infra, wanted, record, options);
      if (!infra.postgres.external && record.reflink === undefined) {
        // Once, now that the folder is there: every launch would get the same answer.
        record.reflink = await canReflink(paths.postgresData);
        await writeRecord(paths, record);
      }
      await withStep(progress, "harness database and shared buckets", () => ensureShared(infra));
      return await resolveInfra(paths, config, env);
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

async function startMissing(
  infra: Infra,
  wanted: readonly ServiceId[],
  record: InfraRecord,
  options: InfraOptions,
): Promise<void> {
  if (wanted.length === 0) return;
  await using processes = await openProcesses(options.paths.pm2);
  const missing = await findMissing(infra, wanted, record, await processes.list(), options);
  if (missing.length === 0) return;
  // Gone first: what hangs keeps its port, and so does what a dead PM2 daemon left.
  await processes.remove(missing.map(serviceProcessName));
  await stopStrays(
    options.paths.home,
    (await processes.list()).flatMap((one) => one.pid ?? []),
  );
  await requireServicePorts(missing, record);
  const credentials = await ensureCredentials(options.paths);
  const { durability } = options.config.postgres;
  const embedded = { paths: options.paths, credentials, ports: record.ports, durability, env: options.env };
  // All of them to their end, whatever becomes of one: nothing may go on starting after the lock is given back.
  const ends = await Promise.allSettled(
    missing.map(async (id) => {
      delete record.settings[id];
      await startService(id, infra, processes, embedded, options.progress);
      record.settings[id] = await settingsHash(id, embedded);
    }),
  );
  await writeRecord(options.paths, record);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/** The services to start: those that do not run or do not answer, and those whose settings changed, unless a stack uses them. */
async function findMissing(
  infra: Infra,
  wanted: readonly ServiceId[],
  record: InfraRecord,
  running: readonly ProcessStatus[],
  { config, progress }: InfraOptions,
): Promise<ServiceId[]> {
  const online = new Set(running.filter((one) => one.status === "online").map((one) => one.name));
  const inUse = running.some((one) => !serviceIds.map(serviceProcessName).includes(one.name));
  const missing: ServiceId[] = [];
  for (const id of wanted) {
    const health = online.has(serviceProcessName(id)) ? await checkService(infra, id) : undefined;
    const startedWith = record.settings[id];
    const changed = startedWith !== undefined && startedWith !== (await settingsHash(id, config.postgres));
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

async function requireServicePorts(missing: readonly ServiceId[], { ports }: InfraRecord): Promise<void> {
  const families: Readonly<Record<ServiceId, Record<string, number>>> = {
    postgres: { AGENT_DB_PORT: ports.postgres },
    s3: { AGENT_MINIO_PORT: ports.s3 },
    browser: { AGENT_BROWSER_PORT: ports.browser },
    mail: { AGENT_MAILPIT_SMTP_PORT: ports.mailSmtp, AGENT_MAILPIT_WEB_PORT: ports.mailWeb },
  };
  for (const id of missing) {
    await requireFreePorts(families[id], "Stop that process, or choose another port with the variable in parentheses.");
  }
}

async function startService(
  id: ServiceId,
  infra: Infra,
  processes: Processes,
  embedded: EmbeddedOptions,
  progress: Progress,
): Promise<void> {
  const start = async (): Promise<string> => {
    const app = toApp(await prepareService(id, embedded));
    // More than a stack's process gets: after a crash, Postgres cannot start before the last of its old processes is gone.
    await processes.start([{ ...app, max_restarts: 20 }]);
    return await waitHealthy(id, infra, processes, serviceLog(embedded.paths, id));
  };
  await withStep(progress, id, start, (detail) => detail);
}

async function waitHealthy(id: ServiceId, infra: Infra, processes: Processes, logFile: string): Promise<string> {
  const end = Date.now() + startLimitMs;
  for (;;) {
    const health = await checkService(infra, id);
    if (health.healthy) return health.detail;
    const status = (await processes.list()).find((one) => one.name === serviceProcessName(id));
    const dead = status === undefined || status.status === "errored" || status.restarts > 1;
    if (dead || Date.now() > end) {
      const what = dead ? "ended at once" : `did not answer within ${startLimitMs / 1000} s (${health.detail})`;
      throw new HarnessError("INFRA_DOWN", `The service ${id} ${what}. Its last lines:\n${await lastLines(logFile)}`, {
        hint: `Run: agent-harness infra logs ${id}`,
        leftBehind: "the services that did start, and their data",
      });
    }
    await delay(40);
  }
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (errorNumber(error) === "ENOENT") return "(no output)";
    throw error;
  });
  return text.trimEnd().split("\n").slice(-12).join("\n");
}

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
