import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type Dockerode from "dockerode";
import { errorNumber, errorText, HarnessError } from "../../shared/errors.ts";
import type { Endpoint } from "./endpoint.ts";

/*
 * The one home of dockerode: everything that is asked of a Docker engine directly. What starts and stops the containers
 * is the compose command, in command.ts.
 */

/** Labels that compose puts on what it makes; the last two are ours, from the compose file. */
export const labels = {
  project: "com.docker.compose.project",
  service: "com.docker.compose.service",
  machine: "agent-harness.machine",
  home: "agent-harness.home",
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

/** An open connection to one engine. Nothing has to be closed. */
export interface Engine {
  readonly endpoint: Endpoint;
  /** For logs, events, exec and pulls, each in its own file. */
  readonly docker: Dockerode;
  version(): Promise<string>;
  /** `host` where a container may share the network of this machine itself; Docker Desktop and rootless engines have their own. */
  browserNetwork(): Promise<"host" | "bridge">;
  containers(project: string): Promise<ContainerFacts[]>;
  volumes(project: string): Promise<VolumeFacts[]>;
  inspect(id: string): Promise<Dockerode.ContainerInspectInfo>;
  /** Memory in use without the page cache, and its limit, in bytes. */
  memory(id: string): Promise<{ usedBytes: number; limitBytes: number }>;
  hasImage(name: string): Promise<boolean>;
  events(options: Dockerode.GetEventsOptions): Promise<Readable>;
}

/** How long the engine may take to answer a simple question, in ms. */
const timeoutMs = 20_000;

/** Connects to an engine and asks it whether it is there: DOCKER_UNAVAILABLE or DOCKER_FORBIDDEN when not. */
export async function openEngine(endpoint: Endpoint): Promise<Engine> {
  const docker = await connect(endpoint);
  try {
    await ping(docker, { abortSignal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    throw explain(error, endpoint);
  }
  const filters = (project: string) => ({ label: [`${labels.project}=${project}`] });
  return {
    endpoint,
    docker,
    version: async () => (await docker.version()).Version,
    browserNetwork: async () => networkOf(await docker.info()),
    containers: async (project) => {
      const all = await docker.listContainers({ all: true, filters: filters(project) });
      return all.map(readContainer);
    },
    volumes: async (project) => {
      const { Volumes } = await docker.listVolumes({ filters: filters(project) });
      return (Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} }));
    },
    inspect: async (id) => await docker.getContainer(id).inspect(),
    memory: async (id) => await readMemory(docker, id),
    hasImage: async (name) => await hasImage(docker, name),
    // Its types know no answer where there is a signal.
    events: async (options) => (await docker.getEvents(options)) as unknown as Readable,
  };
}

/** Its types leave the options out. */
const ping = (docker: Dockerode, options: { abortSignal: AbortSignal }): Promise<unknown> =>
  (docker.ping as (options: { abortSignal: AbortSignal }) => Promise<unknown>).call(docker, options);

/** Required, not imported: it is heavy, and most commands need no engine (ADR 0011). */
async function connect({ host, certFolder }: Endpoint): Promise<Dockerode> {
  const Docker = createRequire(import.meta.url)("dockerode") as typeof Dockerode;
  if (host.startsWith("unix://")) return new Docker({ socketPath: host.slice("unix://".length) });
  const { hostname, port } = new URL(host.replace(/^tcp:/, "http:"));
  const place = { host: hostname, port: Number(port || (certFolder === undefined ? 2375 : 2376)) };
  if (certFolder === undefined) return new Docker({ ...place, protocol: "http" });
  const [ca, cert, key] = await Promise.all(
    ["ca.pem", "cert.pem", "key.pem"].map((name) => readFile(join(certFolder, name), "utf8")),
  );
  return new Docker({ ...place, protocol: "https", ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
}

function explain(error: unknown, { host, source }: Endpoint): HarnessError {
  if (errorNumber(error) === "EACCES") {
    const { username } = userInfo();
    return new HarnessError("DOCKER_FORBIDDEN", `${username} may not use the Docker engine at ${host} (${source}).`, {
      hint: `Run: sudo usermod -aG docker ${username}, then log in again. Or set infra.driver to embedded.`,
      cause: error,
    });
  }
  const why = errorNumber(error) ?? errorText(error);
  return new HarnessError("DOCKER_UNAVAILABLE", `No Docker engine answers at ${host} (${source}): ${why}.`, {
    hint: "Start Docker, or set DOCKER_HOST to where it is, or set infra.driver to embedded.",
    cause: error,
  });
}

function networkOf(info: { SecurityOptions?: string[]; OperatingSystem?: string }): "host" | "bridge" {
  const rootless = (info.SecurityOptions ?? []).some((option) => option.includes("name=rootless"));
  const elsewhere = process.platform !== "linux" || info.OperatingSystem === "Docker Desktop";
  return rootless || elsewhere ? "bridge" : "host";
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
async function readMemory(docker: Dockerode, id: string): Promise<{ usedBytes: number; limitBytes: number }> {
  const { memory_stats: memory } = await docker.getContainer(id).stats({ stream: false, "one-shot": true });
  const stats: Readonly<Record<string, number | undefined>> = { ...memory?.stats };
  const cache = stats["total_inactive_file"] ?? stats["inactive_file"] ?? 0;
  return { usedBytes: Math.max(0, (memory?.usage ?? 0) - cache), limitBytes: memory?.limit ?? 0 };
}

async function hasImage(docker: Dockerode, name: string): Promise<boolean> {
  try {
    await docker.getImage(name).inspect();
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Whether the engine said that there is no such thing. */
export const isMissing = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "statusCode" in error && error.statusCode === 404;
