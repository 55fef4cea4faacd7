import type { InfraConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type Progress, silent } from "../shared/progress.ts";
import { infraPorts } from "../shared/settings.ts";
import { ensureCredentials } from "./credentials.ts";
import type { DriverView, InfraDriver } from "./driver.ts";
import { checkService } from "./health.ts";
import { openDriver } from "./open-driver.ts";
import { findRecord, newRecord } from "./record.ts";
import { resolveInfra } from "./resolve.ts";
import { type DriverName, type Infra, type ServiceHealth, type ServiceId, serviceIds } from "./services.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** One service as `infra status` shows it. */
export interface ServiceStatus extends Partial<Omit<DriverView, "running">> {
  service: ServiceId;
  /** Absent while infra is down. */
  driver?: DriverName | "external";
  healthy: boolean;
  detail: string;
  url: string;
}

/** Where infra is looked for. */
export interface InfraPlace {
  paths: HomePaths;
  config: InfraConfig;
  env: Env;
}

/** Every service, asked now. An engine that does not answer leaves out what only it knows, and is a note. */
export async function infraStatus(place: InfraPlace & { progress?: Progress }): Promise<ServiceStatus[]> {
  const infra = await resolveInfra(place.paths, place.config, place.env);
  const views = await findViews(place);
  return await Promise.all(serviceIds.map((id) => statusOf(id, infra, views.get(id))));
}

/** Whether the services answer, and how they run. */
export interface InfraHealth {
  driver?: DriverName;
  services: (ServiceHealth & { service: ServiceId })[];
}

/** Asks each service itself, and nobody else: quick enough to be asked every few seconds. */
export async function infraHealth(place: InfraPlace): Promise<InfraHealth> {
  const infra = await resolveInfra(place.paths, place.config, place.env);
  const services = await Promise.all(
    serviceIds.map(async (service) => ({ service, ...(await checkService(infra, service)) })),
  );
  return { ...(infra.driver === undefined ? {} : { driver: infra.driver }), services };
}

async function findViews(place: InfraPlace & { progress?: Progress }): Promise<Map<ServiceId, DriverView>> {
  try {
    await using driver = await openRunning(place);
    return (await driver?.look({ stats: true })) ?? new Map();
  } catch (error) {
    if (!(error instanceof HarnessError) || error.kind !== "unavailable") throw error;
    // Then no service answers either, and each says so; but not why.
    place.progress?.({ type: "note", text: `${error.message} ${error.hint ?? ""}` });
    return new Map();
  }
}

/** The driver of the running infra; while it is down another one, or undefined. */
export async function openRunning(
  place: InfraPlace & { progress?: Progress },
  otherwise?: DriverName,
): Promise<InfraDriver | undefined> {
  const known = await findRecord(place.paths);
  const record = known ?? (otherwise && newRecord(otherwise, infraPorts(place.env)));
  if (record === undefined) return undefined;
  const credentials = await ensureCredentials(place.paths);
  return await openDriver(record.driver, { progress: silent, ...place, record, credentials });
}

async function statusOf(id: ServiceId, infra: Infra, view: DriverView | undefined): Promise<ServiceStatus> {
  const { healthy, detail } = await checkService(infra, id);
  const base = { service: id, healthy, detail, url: urlOf(infra, id) };
  if (infra[id].external) return { ...base, driver: "external" };
  const { running: _, ...facts } = view ?? { running: false };
  return { ...base, ...(infra.driver === undefined ? {} : { driver: infra.driver }), ...facts };
}

function urlOf(infra: Infra, id: ServiceId): string {
  if (id === "postgres") return `postgres://${infra.postgres.host}:${infra.postgres.port}`;
  return id === "mail" ? infra.mail.webUrl : infra[id].url;
}
