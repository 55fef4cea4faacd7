import { setTimeout as delay } from "node:timers/promises";
import { HarnessError } from "../../shared/errors.ts";
import { followLines, lastLines } from "../../shared/log-file.ts";
import { reaperProcessName, serviceProcessName } from "../../shared/names.ts";
import { removeFolder } from "../../shared/paths.ts";
import { findProcesses, openProcesses, type Processes, toApp } from "../../shared/processes.ts";
import { withStep } from "../../shared/progress.ts";
import type { DriverContext, DriverView, InfraDriver } from "../driver.ts";
import { checkService } from "../health.ts";
import { requireServicePorts } from "../service-ports.ts";
import { type Infra, type ServiceId, serviceIds } from "../services.ts";
import { prepareService, serviceLog, settingsHash } from "./services.ts";
import { stopStrays } from "./strays.ts";

/** How long a service may take from its start to its first answer, in ms. */
const startLimitMs = 60_000;

/** The embedded driver: every service as a process under PM2, with no container engine. */
export function openEmbedded(context: DriverContext): InfraDriver {
  const { paths, config } = context;
  return {
    look: async () => await look(context),
    settingsHash: async (id) => await settingsHash(id, config.postgres),
    start: async (ids, infra, onUp) => await start(context, ids, infra, onUp),
    stop: async () => await stop(context),
    destroy: async () => await destroy(context),
    logs: async (ids, { lines, follow }, onLine) => {
      for (const service of ids) {
        for (const line of await lastLines(serviceLog(paths, service), lines)) onLine({ service, line });
      }
      if (follow === undefined) return;
      await Promise.all(
        ids.map((service) => followLines(serviceLog(paths, service), follow, (line) => onLine({ service, line }))),
      );
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function look({ paths }: DriverContext): Promise<Map<ServiceId, DriverView>> {
  await using processes = await findProcesses(paths.pm2);
  const running = (await processes?.list()) ?? [];
  const views = serviceIds.flatMap((id): [ServiceId, DriverView][] => {
    const process = running.find((one) => one.name === serviceProcessName(id));
    const log = serviceLog(paths, id);
    if (process === undefined) return [[id, { running: false, restarts: 0, log }]];
    const { status, restarts, pid } = process;
    return [[id, { running: status === "online", restarts, log, ...(pid === undefined ? {} : { pid }) }]];
  });
  return new Map(views);
}

async function start(
  context: DriverContext,
  ids: readonly ServiceId[],
  infra: Infra,
  onUp: (id: ServiceId) => Promise<void>,
): Promise<void> {
  const { paths, record, progress } = context;
  await using processes = await openProcesses(paths.pm2);
  // Gone first: what hangs keeps its port, and so does what a dead PM2 daemon left.
  await processes.remove(ids.map(serviceProcessName));
  await stopStrays(paths.home, await pidsOf(processes));
  await requireServicePorts(ids, record);
  // All of them to their end, whatever becomes of one: nothing may go on starting after the lock is given back.
  const ends = await Promise.allSettled(
    ids.map(async (id) => {
      await withStep(
        progress,
        id,
        () => startService(id, infra, processes, context),
        (detail) => detail,
      );
      await onUp(id);
    }),
  );
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

async function startService(
  id: ServiceId,
  infra: Infra,
  processes: Processes,
  { paths, credentials, record, config, env }: DriverContext,
): Promise<string> {
  const { durability } = config.postgres;
  const app = toApp(await prepareService(id, { paths, credentials, ports: record.ports, durability, env }));
  // More than a stack's process gets: after a crash, Postgres cannot start before the last of its old processes is gone.
  await processes.start([{ ...app, max_restarts: 20 }]);
  return await waitHealthy(id, infra, processes, serviceLog(paths, id));
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
      const lines = (await lastLines(logFile, 12)).join("\n") || "(no output)";
      throw new HarnessError("INFRA_DOWN", `The service ${id} ${what}. Its last lines:\n${lines}`, {
        hint: `Run: agent-harness infra logs ${id}`,
        leftBehind: "the services that did start, and their data",
      });
    }
    await delay(40);
  }
}

async function stop({ paths, progress }: DriverContext): Promise<string[]> {
  const names = serviceIds.map(serviceProcessName);
  const processes = await findProcesses(paths.pm2);
  // A daemon that was killed leaves what it ran.
  if (processes === undefined) return (await stopStrays(paths.home, [])) === 0 ? [] : names;
  await using open = processes;
  const running = (await open.list()).map((one) => one.name);
  const supervised = names.filter((name) => running.includes(name));
  await withStep(
    progress,
    "stop services",
    () => open.remove(supervised),
    () => supervised.join(", ") || "none ran",
  );
  // This daemon may be a second one, which knows nothing of what the first one left running.
  const strays = await stopStrays(paths.home, await pidsOf(open));
  // Nothing left to look after: the daemon goes too, and with it a reaper, which has nothing to do without stacks.
  if (running.every((name) => supervised.includes(name) || name === reaperProcessName)) await open.stopDaemon();
  return strays === 0 ? supervised : names;
}

async function destroy({ paths, progress }: DriverContext): Promise<string[]> {
  const folders = [paths.postgresData, paths.s3Data, paths.mailData];
  for (const folder of folders) await withStep(progress, `delete ${folder}`, () => removeFolder(folder, paths.home));
  return folders;
}

const pidsOf = async (processes: Processes): Promise<number[]> =>
  (await processes.list()).flatMap((one) => one.pid ?? []);
