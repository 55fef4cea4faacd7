import { z } from "zod";
import type { InfraRecord } from "../record.ts";
import { type Endpoint, endpointOf, findEndpoint, type KnownEngine } from "./endpoint.ts";
import { type ContainerFacts, type Engine, labels, openEngine } from "./engine.ts";
import { agreeOnImages, type Images } from "./images.ts";
import { findServiceId } from "./names.ts";

/** Whose containers and volumes are looked for: a harness's by its id, or where nobody knows that any more, by its home. */
export type Mark = { machine: string } | { home: string };

/** What an engine has of this harness, and as far as that tells, what it was started with. */
export interface Found {
  machine: string;
  compose: NonNullable<InfraRecord["compose"]>;
  /** Absent where there are volumes only. */
  ports?: InfraRecord["ports"];
}

const port = z.coerce.number().int();
const portsLabel = z.object({
  postgres: port,
  s3: port,
  s3Console: port,
  browser: port,
  mailWeb: port,
  mailSmtp: port,
});

/**
 * Looks for the containers that carry our mark, of whatever project, running or not, and for volumes too where `data`
 * says so; undefined when there are none. This is how things are found that no record tells of.
 */
export async function findOwn(
  mark: Mark,
  env: Readonly<Record<string, string | undefined>>,
  { known, data = false }: { known?: KnownEngine | undefined; data?: boolean } = {},
): Promise<Found | undefined> {
  const endpoint = known === undefined ? await findEndpoint(env) : await endpointOf(known, env);
  const engine = await openEngine(endpoint);
  const label = "machine" in mark ? `${labels.machine}=${mark.machine}` : `${labels.home}=${mark.home}`;
  const { containers, volumes } = await engine.labelled(label);
  const all = [...containers, ...(data ? volumes : [])];
  const [first] = all;
  const project = first?.labels[labels.project];
  if (first === undefined || project === undefined) return undefined;
  return {
    machine: first.labels[labels.machine] ?? "",
    compose: await settingsOf(engine, endpoint, project, containers, env),
    ...portsOf(first),
  };
}

async function settingsOf(
  engine: Engine,
  { host, certFolder }: Endpoint,
  project: string,
  containers: readonly ContainerFacts[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Found["compose"]> {
  const images: Images = agreeOnImages(env);
  for (const { service, image } of containers) {
    const id = findServiceId(service);
    if (id !== undefined) images[id] = image;
  }
  const tls = certFolder === undefined ? {} : { certFolder };
  return { project, engine: host, ...tls, images, browserNetwork: await engine.browserNetwork() };
}

/** The compose file writes them on each container. */
function portsOf({ labels: all }: Pick<ContainerFacts, "labels">): Pick<Found, "ports"> {
  const entries = (all[labels.ports] ?? "").split(" ").map((one) => one.split("="));
  const ports = portsLabel.safeParse(Object.fromEntries(entries)).data;
  return ports === undefined ? {} : { ports };
}
