import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { composeNames } from "../infra/compose/names.ts";
import type { ServiceId } from "../infra/services.ts";
import type { TestHarness } from "./harness.ts";

const run = promisify(execFile);

/** What is read of `docker inspect`. */
export interface Inspected {
  Name: string;
  State: { Pid: number };
  HostConfig: {
    Memory: number;
    RestartPolicy: { Name: string };
    PortBindings?: Record<string, { HostIp: string; HostPort: string }[]>;
  };
  Config: { Healthcheck?: { Test: string[] } };
  Mounts: { Type: string; Name?: string }[];
}

/** What the engine itself says of a harness's compose project, past our own driver: asked with the docker command. */
export interface OwnProject {
  project: () => string;
  /** The name of a service's container. */
  nameOf: (id: ServiceId) => string;
  /** Runs `docker …` and gives what it printed. */
  docker: (...args: string[]) => Promise<string>;
  /** All that the engine has of the project, running or not: containers by id, volumes and networks by name. */
  list: (kind: "container" | "volume" | "network") => Promise<string[]>;
  /** Of these containers, or of all. */
  inspect: (...names: string[]) => Promise<Inspected[]>;
}

/** For a harness that is open when something is asked. */
export function ownProject(get: () => Pick<TestHarness, "env">): OwnProject {
  const project = (): string => get().env["AGENT_COMPOSE_PROJECT"] ?? "";
  const docker: OwnProject["docker"] = async (...args) =>
    (await run("docker", args, { env: get().env, maxBuffer: 16 * 1024 * 1024 })).stdout.trim();
  const list: OwnProject["list"] = async (kind) => {
    const words = kind === "container" ? ["ps", "--all", "--quiet"] : [kind, "ls", "--quiet"];
    const printed = await docker(...words, "--filter", `label=com.docker.compose.project=${project()}`);
    return printed === "" ? [] : printed.split("\n").sort();
  };
  return {
    project,
    nameOf: (id) => `${project()}-${composeNames[id]}-1`,
    docker,
    list,
    inspect: async (...names) =>
      JSON.parse(await docker("inspect", ...(names.length === 0 ? await list("container") : names))) as Inspected[],
  };
}
