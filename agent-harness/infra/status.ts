import { serviceProcessName } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { findProcesses, type ProcessStatus } from "../shared/processes.ts";
import { serviceLog } from "./embedded.ts";
import { checkService } from "./health.ts";
import { type Infra, type ServiceId, serviceIds } from "./services.ts";

/** One service as `infra status` shows it. */
export interface ServiceStatus {
  service: ServiceId;
  driver: "embedded" | "external";
  healthy: boolean;
  detail: string;
  url: string;
  pid?: number;
  restarts?: number;
  log?: string;
}

/** Every service, asked now. */
export async function infraStatus(paths: HomePaths, infra: Infra): Promise<ServiceStatus[]> {
  const processes = await findProcesses(paths.pm2);
  await using open = processes;
  const running = (await open?.list()) ?? [];
  return await Promise.all(serviceIds.map((id) => statusOf(id, paths, infra, running)));
}

async function statusOf(
  id: ServiceId,
  paths: HomePaths,
  infra: Infra,
  running: readonly ProcessStatus[],
): Promise<ServiceStatus> {
  const { healthy, detail } = await checkService(infra, id);
  const base = { service: id, healthy, detail, url: urlOf(infra, id) };
  if (infra[id].external) return { ...base, driver: "external" };
  const process = running.find((one) => one.name === serviceProcessName(id));
  return {
    ...base,
    driver: "embedded",
    log: serviceLog(paths, id),
    ...(process?.pid === undefined ? {} : { pid: process.pid }),
    ...(process === undefined ? {} : { restarts: process.restarts }),
  };
}

function urlOf(infra: Infra, id: ServiceId): string {
  if (id === "postgres") return `postgres://${infra.postgres.host}:${infra.postgres.port}`;
  return id === "mail" ? infra.mail.webUrl : infra[id].url;
}
