import type { HomePaths } from "../shared/paths.ts";
import { findPortHolder, type PortHolder } from "../shared/ports.ts";
import { findMarked, listProcesses, treeOf } from "../shared/process-tree.ts";
import { infraPorts } from "../shared/settings.ts";
import { serviceMark } from "./embedded/strays.ts";
import { findRecord } from "./record.ts";
import { servicePorts } from "./service-ports.ts";
import { type Infra, type ServiceId, serviceIds } from "./services.ts";

/** One port of infra, and who listens on it. */
export interface InfraPortHolder {
  service: ServiceId;
  /** The variable that moves it. */
  variable: string;
  port: number;
  /** Absent when nobody listens. */
  holder?: PortHolder;
  /** Whether the holder is our own service. */
  ours: boolean;
}

/**
 * Every port of the services that are ours to run, with its holder. What runs in containers is known by the engine, which
 * publishes the ports itself: there the holder counts as ours while infra runs by compose.
 */
export async function listPortHolders(
  paths: HomePaths,
  infra: Infra,
  env: Readonly<Record<string, string | undefined>>,
): Promise<InfraPortHolder[]> {
  const record = await findRecord(paths);
  const ports = record?.ports ?? infraPorts(env);
  const all = await listProcesses();
  const marked = (await findMarked(serviceMark, paths.home)).flatMap((one) => treeOf(one.pid, all));
  const own = new Set(marked.map((one) => one.pid));
  const withConsole = record?.driver === "compose";
  const wanted = serviceIds
    .filter((service) => !infra[service].external)
    .flatMap((service) =>
      Object.entries(servicePorts(service, ports, { withConsole })).map((one) => [service, ...one] as const),
    );
  return await Promise.all(
    wanted.map(async ([service, variable, port]) => {
      const holder = await findPortHolder(port);
      const ours = holder?.pid === undefined ? withConsole : withConsole || own.has(holder.pid);
      return { service, variable, port, ours, ...(holder === undefined ? {} : { holder }) };
    }),
  );
}
