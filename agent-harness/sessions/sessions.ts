import type { Answer, Pending, ProviderName, RunWay, SessionMessage, SessionStatus } from "./session.ts";

/* What the doors (api/, cli/) call. `openSessions` in open-sessions.ts gives it. */

/** Where news of a session or project is posted. */
export interface Callback {
  url: string;
  /** Sent as `Authorization: Bearer`; never shown again. */
  token?: string;
  discordChannel?: string;
  sessionKey?: string;
  extra?: Record<string, unknown>;
}

/** A named working directory in which sessions run. */
export interface Project {
  name: string;
  cwd: string;
  /** The agent id of the stack in whose directory and environment its sessions run. */
  stack?: number;
  callback?: Callback;
  createdAt: Date;
  agentCount: number;
}

/** One running coding agent. */
export interface Session {
  id: string;
  project: string;
  provider: ProviderName;
  runIn: RunWay;
  status: SessionStatus;
  /** Why it has that status, where there is something to say: `daemon_restart`, `no output for 600 s`. */
  reason?: string;
  pending?: Pending;
  task: string;
  model?: string;
  subscription?: string;
  stack?: number;
  cwd: string;
  callback?: Callback;
  createdAt: Date;
  lastActivity: Date;
  /** A command for a person's terminal; where there is none to attach to, it follows the journal. */
  attachCommand: string;
  /** Its window as tmux names it, `<session>:<window>`; absent when it runs without tmux. */
  tmuxTarget?: string;
  /** Where everything that the program wrote is kept. */
  journal: string;
  /** A folder of its own: its journal, and what its program has for itself alone. */
  folder: string;
  providerSessionId?: string;
  /** Its session log, where its provider tells of one. */
  providerSessionFile?: string;
}

export interface CreateSession {
  provider: ProviderName;
  task: string;
  /** Its id; made up as `<provider>-<adjective>-<noun>` when absent. */
  name?: string;
  model?: string;
  subscription?: string;
  runIn?: RunWay;
  stack?: number;
  permissions?: "ask" | "edits" | "all";
  callback?: Callback;
  /** The same key gives the same session, however often it is asked for. */
  idempotencyKey?: string;
}

export interface MessagesQuery {
  limit?: number;
  role?: SessionMessage["role"] | "all";
}

/** A message, and where it was read: `protocol`, `hook`, `session_log`. */
export interface ReadMessage extends SessionMessage {
  source: string;
}

export interface Messages {
  /** The newest ones that were asked for, oldest first. */
  messages: ReadMessage[];
  /** The last one of the role assistant, whatever was asked for. */
  last: ReadMessage | undefined;
  total: number;
  truncated: boolean;
  /** Where the last one was read. */
  source: string;
  /** Lines that could not be understood. */
  parseErrors: number;
}

/** A credential profile that a session can be created with (`subscription`); never its credentials. */
export interface Subscription {
  id: string;
  provider: ProviderName;
  /** Where the credentials lie: a folder, the name of a variable. */
  source: string;
}

/** Errors are HarnessErrors: PROJECT_NOT_FOUND, AGENT_NOT_FOUND, PROJECT_EXISTS, NAME_CONFLICT, PENDING_STALE, STORE_UNAVAILABLE … */
export interface Sessions extends AsyncDisposable {
  createProject(project: { name: string; cwd: string; stack?: number; callback?: Callback }): Promise<Project>;
  listProjects(): Promise<Project[]>;
  getProject(name: string): Promise<Project>;
  changeProject(name: string, change: { cwd?: string; callback?: Callback | null }): Promise<Project>;
  /** Ends its sessions and their whole process trees first. */
  deleteProject(name: string): Promise<void>;

  create(project: string, session: CreateSession): Promise<{ session: Session; lastEventId: number }>;
  list(project: string): Promise<Session[]>;
  get(project: string, id: string): Promise<Session>;
  input(project: string, id: string, text: string, options?: { idempotencyKey?: string }): Promise<void>;
  /** PENDING_STALE when it does not wait for that any more. */
  respond(project: string, id: string, pendingId: string, answer: Answer): Promise<void>;
  /** The turn ends, the session stays; commands that the turn started die. */
  abort(project: string, id: string): Promise<void>;
  /** The session, its program and all that it started. */
  delete(project: string, id: string): Promise<void>;
  output(project: string, id: string, lines: number): Promise<{ output: string; lines: number }>;
  messages(project: string, id: string, query: MessagesQuery): Promise<Messages>;

  listSubscriptions(): Promise<Subscription[]>;
}
