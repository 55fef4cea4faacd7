import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type Dockerode from "dockerode";
import type { Endpoint } from "./endpoint.ts";
import { isMissing, requireVersion, unanswered, withoutCertificates } from "./engine-errors.ts";
import { containerNames, volumeNames } from "./names.ts";
import { networkOf, remapsUsers } from "./network.ts";

/*
 * The one home of dockerode: everything that is asked of a Docker engine directly. What starts and stops the containers
 * is the compose command, in command.ts.
 */

/** Labels that compose puts on what it makes; the last three are ours, from the compose file. */
export const labels = {
  project: "com.docker.compose.project",
  service: "com.docker.compose.service",
  machine: "agent-harness.machine",
  home: "agent-harness.home",
  ports: "agent-harness.ports",
} as const;

/** One container of a compose project. */
export interface ContainerFacts {
  id: string;
  name: string;
  /** The service's name in the compose file. */
  service: string;
  image: string;
  /** Docker's word: `running`, `exited`, `restarting` … */
  state: string;
  labels: Readonly<Record<string, string>>;
}

export interface VolumeFacts {
  name: string;
  labels: Readonly<Record<string, string>>;
}

/** One engine, which answered. Nothing has to be closed. Its questions throw DOCKER_UNAVAILABLE when it no longer does. */
export interface Engine {
  readonly endpoint: Endpoint;
  readonly version: string;
  /** For logs, events, exec and pulls, each in its own file. */
  readonly docker: Dockerode;
  /** `host` where a container may share the network of this machine itself; Docker Desktop and rootless engines have their own. */
  browserNetwork(): Promise<"host" | "bridge">;
  /** Whether its containers run as users of their own (`userns-remap`), who cannot read our secrets. */
  remapsUsers(): Promise<boolean>;
  /** All that are labelled as the project's, and those that bear a name which compose would give to ours. */
  containers(project: string): Promise<ContainerFacts[]>;
  volumes(project: string): Promise<VolumeFacts[]>;
  /** All that carry a label (`name=value`), of whatever project. */
  labelled(label: string): Promise<{ containers: ContainerFacts[]; volumes: VolumeFacts[] }>;
  /** The container that publishes a port of this machine. */
  findPublisher(port: number): Promise<ContainerFacts | undefined>;
  inspect(id: string): Promise<Dockerode.ContainerInspectInfo>;
  /** Whether it counts and limits the memory of containers; a rootless engine may lack the control groups for it. */
  countsMemory(): Promise<boolean>;
  /** Memory in use without the page cache, and its limit, in bytes. */
  memory(id: string): Promise<{ usedBytes: number; limitBytes: number }>;
  hasImage(name: string): Promise<boolean>;
  /** Asks the image's registry for it, for so long at most; throws when it has none, or does not answer. */
  findInRegistry(image: string, limitMs: number): Promise<void>;
  events(options: Dockerode.GetEventsOptions): Promise<Readable>;
}

/** How long the engine may take to answer a simple question, in ms. */
const usualLimitMs = 10_000;

/** Asks the engine at an address who it is: DOCKER_UNAVAILABLE or DOCKER_FORBIDDEN when it is none that we can use. */
export async function openEngine(endpoint: Endpoint, { limitMs = usualLimitMs } = {}): Promise<Engine> {
  // Two: what follows logs, events and pulls may be silent for long.
  const [docker, asked] = await Promise.all([connect(endpoint), connect(endpoint, limitMs)]);
  const ask = async <T>(question: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    try {
      return await question();
    } catch (error) {
      if (isMissing(error)) throw error;
      throw unanswered(error, endpoint, performance.now() - start < limitMs ? {} : { limitMs });
    }
  };
  const list = async (filters: Record<string, string[]>, all = true): Promise<ContainerFacts[]> =>
    (await ask(() => asked.listContainers({ all, filters }))).map(readContainer);
  const listVolumes = async (filters: Record<string, string[]> = {}): Promise<VolumeFacts[]> => {
    const { Volumes } = await ask(() => asked.listVolumes({ filters }));
    return (Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} }));
  };
  return {
    endpoint,
    docker,
    version: requireVersion(await ask(() => asked.version()), endpoint),
    browserNetwork: async () => networkOf(await ask(() => asked.info())),
    remapsUsers: async () => remapsUsers(await ask(() => asked.info())),
    countsMemory: async () => ((await ask(() => asked.info())) as { MemoryLimit?: boolean }).MemoryLimit !== false,
    containers: async (project) => {
      const [labelled, named] = await Promise.all([
        list({ label: [`${labels.project}=${project}`] }),
        list({ name: containerNames(project).map((name) => `^/${name}$`) }),
      ]);
      return [...new Map([...labelled, ...named].map((one) => [one.id, one])).values()];
    },
    volumes: async (project) => {
      const names = volumeNames(project);
      const all = await listVolumes();
      return all.filter((one) => one.labels[labels.project] === project || names.includes(one.name));
    },
    labelled: async (label) => {
      const [containers, volumes] = await Promise.all([list({ label: [label] }), listVolumes({ label: [label] })]);
      return { containers, volumes };
    },
    findPublisher: async (port) => (await list({ publish: [String(port)] }, false))[0],
    inspect: (id) => ask(() => asked.getContainer(id).inspect()),
    memory: async (id) =>
      readMemory(await ask(() => asked.getContainer(id).stats({ stream: false, "one-shot": true }))),
    hasImage: async (name) => await hasImage(() => ask(() => asked.getImage(name).inspect())),
    findInRegistry: async (image, registryLimitMs) => {
      // With a limit of its own, since it takes no signal.
      const patient = await connect(endpoint, registryLimitMs);
      await patient.getImage(image).distribution();
    },
    // Its types know no answer where there is a signal.
    events: async (options) => (await ask(() => docker.getEvents(options))) as unknown as Readable,
  };
}

async function connect(endpoint: Endpoint, timeout?: number): Promise<Dockerode> {
  const { host, certFolder } = endpoint;
  const limit = timeout === undefined ? {} : { timeout };
  if (host.startsWith("unix://")) return newClient({ socketPath: host.slice("unix://".length), ...limit });
  const { hostname, port } = new URL(host.replace(/^tcp:/, "http:"));
  const place = { host: hostname, port, ...limit };
  if (certFolder === undefined) return newClient({ ...place, protocol: "http" });
  const [ca, cert, key] = await readCertificates(certFolder, endpoint);
  return newClient({ ...place, protocol: "https", ca, cert, key });
}

type Certificates = [ca: string, cert: string, key: string];

async function readCertificates(folder: string, endpoint: Endpoint): Promise<Certificates> {
  const read = (name: string): Promise<string> => readFile(join(folder, name), "utf8");
  try {
    // One after the other: the error names the first that is missing.
    return [await read("ca.pem"), await read("cert.pem"), await read("key.pem")];
  } catch (error) {
    throw withoutCertificates(folder, endpoint, error);
  }
}

/** Required, not imported: it is heavy, and most commands need no engine (ADR 0011). */
function newClient(options: Dockerode.DockerOptions): Dockerode {
  const Docker = createRequire(import.meta.url)("dockerode") as typeof Dockerode;
  const { DOCKER_HOST: theirs } = process.env;
  // It would go to this process's DOCKER_HOST, whatever it is told: the record of the running infra may say otherwise.
  delete process.env["DOCKER_HOST"];
  try {
    return new Docker(options);
  } finally {
    if (theirs !== undefined) process.env["DOCKER_HOST"] = theirs;
  }
}

const readContainer = ({ Id, Names, Image, State, Labels }: Dockerode.ContainerInfo): ContainerFacts => ({
  id: Id,
  name: (Names[0] ?? Id).replace(/^\//, ""),
  service: Labels[labels.service] ?? "",
  image: Image,
  state: State,
  labels: Labels,
});

/** As `docker stats` counts: what the kernel can take back at once is not in use. Both kinds of control groups. */
function readMemory({ memory_stats: memory }: Dockerode.ContainerStats): { usedBytes: number; limitBytes: number } {
  const stats: Readonly<Record<string, number | undefined>> = { ...memory?.stats };
  const cache = stats["total_inactive_file"] ?? stats["inactive_file"] ?? 0;
  return { usedBytes: Math.max(0, (memory?.usage ?? 0) - cache), limitBytes: memory?.limit ?? 0 };
}

async function hasImage(inspect: () => Promise<unknown>): Promise<boolean> {
  try {
    await inspect();
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
