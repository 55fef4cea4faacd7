import type { InfraConfig } from "../shared/config-schema.ts";
import type { HomePaths } from "../shared/paths.ts";
import type { Progress } from "../shared/progress.ts";
import type { Credentials } from "./credentials.ts";
import type { InfraRecord } from "./record.ts";
import type { Infra, ServiceId } from "./services.ts";

/** What a driver knows of a service without asking the service itself. */
export interface DriverView {
  /** Whether it runs; whether it works is asked through its own protocol. */
  running: boolean;
  /** How often it was brought back since it was started. */
  restarts: number;
  /** Of its root process, where the driver can see one. */
  pid?: number;
  /** The file that its output goes to, or the name of the container that keeps it. */
  log?: string;
  image?: string;
  /** What the engine's own health check says: `healthy`, `starting`, `unhealthy`. */
  health?: string;
  /** What a person has to know of it, though it works. */
  note?: string;
  memoryBytes?: number;
  memoryLimitBytes?: number;
}

/** One line of a service's output. */
export interface ServiceLogLine {
  service: ServiceId;
  line: string;
}

/** What a program in the container of a service is given. */
export interface ExecOptions {
  /** Whose it is, for what is said to people. */
  agentId: number;
  /** On top of the container's own variables; nothing secret. */
  env: Readonly<Record<string, string>>;
  /** Where the first two are a terminal the program gets one, else three streams, apart from each other. */
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}

/** How the services run: one implementation in embedded/, one in compose/. */
export interface InfraDriver extends AsyncDisposable {
  /** Of every service that the driver has anything of; `stats` asks for the memory too, which takes longer. */
  look(options?: { stats?: boolean }): Promise<Map<ServiceId, DriverView>>;
  /** What only a restart changes in a running service, as a short hash. */
  settingsHash(id: ServiceId): Promise<string>;
  /**
   * Starts services that do not run or do not answer, and reports each as a step. Returns when each has come to its end,
   * whatever became of the others; `onUp` is told of those that work. Throws the first failure after that.
   */
  start(ids: readonly ServiceId[], infra: Infra, onUp: (id: ServiceId) => Promise<void>): Promise<void>;
  /** Stops all that is ours and keeps the data; returns the names of what was stopped. */
  stop(): Promise<string[]>;
  /** Deletes the data of services that were stopped, and returns what was deleted. */
  destroy(): Promise<string[]>;
  /** The last lines of each service's output, then, with a signal, each new one until it is aborted. */
  logs(
    ids: readonly ServiceId[],
    options: { lines: number; follow?: AbortSignal },
    onLine: (line: ServiceLogLine) => void,
  ): Promise<void>;
  /** Runs a program in the container of a service; returns its exit code. CONTAINER_MISSING where there is none. */
  exec(id: ServiceId, argv: readonly string[], options: ExecOptions): Promise<number>;
}

/** What a driver is opened with. */
export interface DriverContext {
  paths: HomePaths;
  credentials: Credentials;
  record: Pick<InfraRecord, "ports" | "compose">;
  config: InfraConfig;
  /** The project's variables: some may be set in its .env.agent-harness only. */
  env: Readonly<Record<string, string | undefined>>;
  progress: Progress;
}
