import type {
  CreateSession,
  Messages,
  Project,
  ReadMessage,
  Session,
  SessionMessage,
  Sessions,
} from "../sessions/index.ts";
import { HarnessError } from "../shared/errors.ts";
import type { EventLog } from "../store/index.ts";

/** Sessions in memory: what the doors are tested with. */
export interface SessionsDouble extends Sessions {
  /** What was asked for, in order: the method and its arguments. */
  calls: unknown[][];
  /** Thrown by the next calls, until it is taken away. */
  trouble: Error | undefined;
  /** What a session says. */
  say(id: string, ...messages: (SessionMessage & Partial<ReadMessage>)[]): void;
  /** Changes a session's row. */
  change(id: string, change: Partial<Session>): void;
}

interface State {
  events: EventLog;
  projects: Map<string, Project>;
  sessions: Map<string, Session>;
  said: Map<string, ReadMessage[]>;
  /** Which session an idempotency key gave. */
  keys: Map<string, string>;
  note(...call: unknown[]): void;
  getProject(name: string): Project;
  getSession(project: string, id: string): Session;
}

/** No project, no session. */
export function sessionsDouble(events: EventLog): SessionsDouble {
  const observed: Pick<SessionsDouble, "calls" | "trouble"> = { calls: [], trouble: undefined };
  const projects = new Map<string, Project>();
  const sessions = new Map<string, Session>();
  const said = new Map<string, ReadMessage[]>();
  const getProject = (name: string): Project => {
    const found = projects.get(name);
    if (found === undefined) throw new HarnessError("PROJECT_NOT_FOUND", `There is no project ${name}.`);
    return { ...found, agentCount: [...sessions.values()].filter((one) => one.project === name).length };
  };
  const state: State = {
    events,
    projects,
    sessions,
    said,
    keys: new Map(),
    note: (...call) => {
      observed.calls.push(call);
      if (observed.trouble !== undefined) throw observed.trouble;
    },
    getProject,
    getSession: (project, id) => {
      getProject(project);
      const found = sessions.get(id);
      if (found?.project === project) return found;
      throw new HarnessError("AGENT_NOT_FOUND", `There is no agent ${id} in the project ${project}.`);
    },
  };
  return Object.assign(observed, projectMethods(state), sessionMethods(state), readMethods(state), {
    say: (id: string, ...messages: (SessionMessage & Partial<ReadMessage>)[]) => {
      const read = messages.map((one) => ({ source: "protocol", ...one }));
      said.set(id, [...(said.get(id) ?? []), ...read]);
    },
    change: (id: string, change: Partial<Session>) => {
      const found = sessions.get(id);
      if (found !== undefined) sessions.set(id, { ...found, ...change });
    },
    [Symbol.asyncDispose]: async () => undefined,
  });
}

type ProjectMethods = "createProject" | "listProjects" | "getProject" | "changeProject" | "deleteProject";

const projectMethods = ({ projects, getProject, note }: State): Pick<Sessions, ProjectMethods> => ({
  createProject: async (wanted) => {
    note("createProject", wanted);
    if (projects.has(wanted.name)) throw new HarnessError("PROJECT_EXISTS", `There is a project ${wanted.name}.`);
    projects.set(wanted.name, { ...wanted, createdAt: new Date(0), agentCount: 0 });
    return getProject(wanted.name);
  },
  listProjects: async () => {
    note("listProjects");
    return [...projects.keys()].map(getProject);
  },
  getProject: async (name) => {
    note("getProject", name);
    return getProject(name);
  },
  changeProject: async (name, change) => {
    note("changeProject", name, change);
    const { callback: before, ...project } = getProject(name);
    const { callback = before, ...others } = change;
    projects.set(name, { ...project, ...others, ...(callback ? { callback } : {}) });
    return getProject(name);
  },
  deleteProject: async (name) => {
    note("deleteProject", name);
    getProject(name);
    projects.delete(name);
  },
});

type SessionMethods = "create" | "list" | "get" | "input" | "respond" | "abort" | "delete";

const sessionMethods = (state: State): Pick<Sessions, SessionMethods> => ({
  create: async (project, wanted) => {
    state.note("create", project, wanted);
    state.getProject(project);
    const lastEventId = await state.events.head();
    const known = state.keys.get(wanted.idempotencyKey ?? "");
    if (known !== undefined) return { session: state.getSession(project, known), lastEventId };
    const id = wanted.name ?? `${wanted.provider}-brave-otter`;
    if (state.sessions.has(id)) throw new HarnessError("NAME_CONFLICT", `There is an agent ${id} already.`);
    state.sessions.set(id, made(state.getProject(project), id, wanted));
    if (wanted.idempotencyKey !== undefined) state.keys.set(wanted.idempotencyKey, id);
    return { session: state.getSession(project, id), lastEventId };
  },
  list: async (project) => {
    state.note("list", project);
    state.getProject(project);
    return [...state.sessions.values()].filter((one) => one.project === project);
  },
  get: async (project, id) => {
    state.note("get", project, id);
    return state.getSession(project, id);
  },
  input: async (project, id, text, options) => {
    state.note("input", project, id, text, options);
    state.getSession(project, id);
  },
  respond: async (project, id, pendingId, answer) => {
    state.note("respond", project, id, pendingId, answer);
    if (state.getSession(project, id).pending?.id === pendingId) return;
    throw new HarnessError("PENDING_STALE", `${id} does not wait for ${pendingId} any more.`);
  },
  abort: async (project, id) => {
    state.note("abort", project, id);
    state.getSession(project, id);
  },
  delete: async (project, id) => {
    state.note("delete", project, id);
    state.getSession(project, id);
    state.sessions.delete(id);
  },
});

function made(project: Project, id: string, wanted: CreateSession): Session {
  const { idempotencyKey: _key, name: _name, permissions: _permissions, ...kept } = wanted;
  return {
    runIn: "tmux",
    ...kept,
    id,
    project: project.name,
    status: "processing",
    cwd: project.cwd,
    createdAt: new Date(0),
    lastActivity: new Date(1000),
    attachCommand: `tmux attach -t ${id}`,
    tmuxTarget: `${id}:agent`,
    journal: `/home/sessions/${id}/journal.jsonl`,
    folder: `/home/sessions/${id}`,
  };
}

const readMethods = ({
  note,
  getSession,
  said,
}: State): Pick<Sessions, "output" | "messages" | "listSubscriptions"> => ({
  output: async (project, id, lines) => {
    note("output", project, id, lines);
    getSession(project, id);
    return { output: `output of ${id}`, lines };
  },
  messages: async (project, id, query): Promise<Messages> => {
    note("messages", project, id, query);
    getSession(project, id);
    const all = said.get(id) ?? [];
    const { role = "all", limit = all.length } = query;
    const wanted = all.filter((one) => role === "all" || one.role === role);
    const last = all.filter((one) => one.role === "assistant").at(-1);
    const messages = limit === 0 ? [] : wanted.slice(-limit);
    return {
      messages,
      last,
      total: wanted.length,
      truncated: wanted.length > limit,
      source: last?.source ?? "protocol",
      parseErrors: 0,
    };
  },
  listSubscriptions: async () => {
    note("listSubscriptions");
    return [{ id: "work", provider: "codex", source: "/home/me/work" }];
  },
});
