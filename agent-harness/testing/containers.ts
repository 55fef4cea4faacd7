import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { composeNames } from "../infra/compose/names.ts";
import type { ServiceId } from "../infra/services.ts";

const run = promisify(execFile);

/** What is read of `docker inspect`. */
export interface InspectedContainer {
  Name: string;
  State: { Pid: number; Status: string };
  HostConfig: {
    Memory: number;
    RestartPolicy: { Name: string };
    PortBindings?: Record<string, { HostIp: string; HostPort: string }[]>;
  };
  Config: { Healthcheck?: { Test: string[] } };
  Mounts: { Type: string; Name?: string }[];
}

/** The containers of a harness, asked for and handled by the docker command. */
export interface HarnessContainers {
  /** The compose project. */
  project: () => string;
  /** The name of the container of a service. */
  nameOf: (id: ServiceId) => string;
  /** Runs `docker …` and gives what it printed. */
  docker: (...args: string[]) => Promise<string>;
  /** What the engine has of the project: containers by id, volumes and networks by name. */
  list: (kind: "container" | "volume" | "network") => Promise<string[]>;
  /** These containers, or all of the project. */
  inspect: (...names: string[]) => Promise<InspectedContainer[]>;
}

/** Those of a harness that may be opened later. */
export function containersOf(harness: () => { env: NodeJS.ProcessEnv }): HarnessContainers {
  const project = (): string => harness().env["AGENT_COMPOSE_PROJECT"] ?? "";
  const docker = async (...args: string[]): Promise<string> =>
    (await run("docker", args, { env: harness().env })).stdout.trim();
  const list: HarnessContainers["list"] = async (kind) => {
    const command = kind === "container" ? ["ps", "--all", "--quiet", "--no-trunc"] : [kind, "ls", "--quiet"];
    const text = await docker(...command, "--filter", `label=com.docker.compose.project=${project()}`);
    return text
      .split("\n")
      .filter((line) => line !== "")
      .sort();
  };
  return {
    project,
    nameOf: (id) => `${project()}-${composeNames[id]}-1`,
    docker,
    list,
    inspect: async (...names) => {
      const which = names.length === 0 ? await list("container") : names;
      return which.length === 0 ? [] : JSON.parse(await docker("inspect", ...which));
    },
  };
}
