import { HarnessError } from "../../shared/errors.ts";
import type { ProviderName, RunWay, SessionStatus } from "../session.ts";

/*
 * What dispatch wants of the HTTP API, and nothing of HTTP in it. Each method is one request, sent once: what is tried again,
 * and how often, is decided by recovery.ts alone. A request that fails rejects with a HarnessError whose context has what the
 * server said, `{ status: 409, error: "PROJECT_EXISTS" }`; without a status nobody answered.
 */

export interface ProjectView {
  name: string;
  cwd: string;
  agents: { id: string }[];
}

export interface AgentView {
  id: string;
  provider: string;
  status: SessionStatus;
  task: string;
  reason?: string | undefined;
  /** What it waits for, in one line. */
  waitsFor?: string | undefined;
  attachCommand?: string | undefined;
  /** Where everything that its program wrote is kept. */
  logPath?: string | undefined;
}

export interface NewAgent {
  provider: ProviderName;
  task: string;
  name: string;
  model?: string;
  subscription?: string;
  runIn?: RunWay;
  stack?: number;
  permissions?: "ask" | "edits" | "all";
  callback?: { url: string; token: string };
}

/** What a stream of events gives. */
export type StreamItem =
  /** The server has answered: what happens from now on is seen. */
  | { kind: "open" }
  | { kind: "event"; id: number | undefined; type: string; agentId: string | undefined; data: Record<string, unknown> }
  /** Events are missing; the stream goes on after `to`. */
  | { kind: "gap"; to: number | undefined }
  | { kind: "heartbeat" };

export interface StreamRequest {
  /** Only this agent's. */
  agentId?: string | undefined;
  /** Events after this one; without it only new ones. */
  since?: number | undefined;
  signal: AbortSignal;
}

/** The HTTP API of a harness, as far as dispatch uses it. */
export interface HarnessClient {
  createProject(project: { name: string; cwd: string }): Promise<ProjectView>;
  getProject(name: string): Promise<ProjectView>;
  deleteProject(name: string): Promise<void>;
  createAgent(
    project: string,
    agent: NewAgent,
    idempotencyKey: string,
  ): Promise<{ agent: AgentView; lastEventId: number | undefined }>;
  getAgent(project: string, id: string): Promise<AgentView>;
  input(project: string, id: string, text: string, idempotencyKey: string): Promise<void>;
  abort(project: string, id: string): Promise<void>;
  deleteAgent(project: string, id: string): Promise<void>;
  /** The last thing that the agent said; undefined when its provider knows of none. */
  lastMessage(project: string, id: string): Promise<string | undefined>;
  /** The last things that it said, oldest first. */
  messages(project: string, id: string, limit: number): Promise<string[]>;
  output(project: string, id: string, lines: number): Promise<string>;
  /** Ends when the server ends it; rejects when it breaks. */
  events(project: string, stream: StreamRequest): AsyncIterable<StreamItem>;
  /** Looks again for the token where it came from. */
  refreshToken(): Promise<void>;
}

/** What came of a request that failed. */
export interface Failure {
  /** Undefined when nobody answered. */
  status: number | undefined;
  /** The server's code, such as PROJECT_EXISTS; ours where it gave none. */
  code: string;
  message: string;
  hint: string | undefined;
}

/** What a failed request says; undefined for what is no failure of a request, which is a bug. */
export function failureOf(thrown: unknown): Failure | undefined {
  if (!(thrown instanceof HarnessError)) return undefined;
  const { status, error } = thrown.context;
  return {
    status: typeof status === "number" ? status : undefined,
    code: typeof error === "string" ? error : thrown.code,
    message: thrown.message,
    hint: thrown.hint,
  };
}

/** Whether a request failed with one of these codes of the server. */
export const failedWith = (thrown: unknown, ...codes: string[]): boolean =>
  codes.includes(failureOf(thrown)?.code ?? "");
