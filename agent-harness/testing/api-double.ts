import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { listenOnLoopback } from "../infra/servers/listen.ts";
import type { SessionStatus } from "../sessions/session.ts";
import { until } from "./until.ts";

/** A request that the double got. */
export interface DoubleRequest {
  /** Such as `POST /projects/shop/agents`, with the query. */
  route: string;
  body: Record<string, unknown>;
  key: string | undefined;
  token: string | undefined;
  /** The how manyeth of this method and path, from 1. */
  count: number;
}

/** What a test wants instead of the usual answer. */
export type Trouble =
  | { status: number; error: string; message?: string }
  /** The connection is cut: without doing it, or after it was done. */
  | "cut"
  | "cut after"
  /** No answer, ever. */
  | "hang"
  | undefined;

export interface DoubleAgent {
  id: string;
  project: string;
  provider: string;
  task: string;
  status: SessionStatus;
  reason?: string;
  pending?: { title: string };
  key: string | undefined;
  callback?: { url: string; token: string };
  lastMessage: string | null;
  messages: string[];
  output: string;
}

export interface DoubleOptions {
  token?: string;
  trouble?: (request: DoubleRequest) => Trouble;
  /** A server that knows no Idempotency-Key, and no lastEventId. */
  old?: boolean;
  /** What becomes of an agent, and of one that is told something. */
  onCreate?: (agent: DoubleAgent, double: ApiDouble) => void;
  onInput?: (agent: DoubleAgent, double: ApiDouble) => void;
  onAbort?: (agent: DoubleAgent, double: ApiDouble) => void;
}

/** The API of a harness as clients see it, over real HTTP on loopback, with agents that do what the test says. */
export interface ApiDouble extends AsyncDisposable {
  url: string;
  token: string | undefined;
  requests: DoubleRequest[];
  projects: Map<string, string>;
  agents: Map<string, DoubleAgent>;
  /** The routes so far, for counting. */
  routes(pattern: RegExp): string[];
  set(id: string, status: SessionStatus, more?: Partial<DoubleAgent>): void;
  /** Comes to rest with a message, and says that it can be read. */
  finish(id: string, text: string, status?: SessionStatus): void;
  emit(project: string, agentId: string | undefined, type: string, data: Record<string, unknown>): void;
  /** Cuts every stream. */
  dropStreams(): void;
  streams(): number;
  /** From now on events are kept, and replayed, but told to nobody who is there. */
  silence(on: boolean): void;
  /** Cuts every stream and counts events from 1 again, as a server does that keeps none. */
  restart(): void;
  /** Events up to now are forgotten: who asks for them gets a gap. */
  forget(): void;
}

interface StoredEvent {
  id: number;
  project: string;
  agentId: string | undefined;
  type: string;
  data: Record<string, unknown>;
}

interface Stream {
  project: string;
  agentId: string | undefined;
  response: ServerResponse;
}

interface State {
  options: DoubleOptions;
  events: StoredEvent[];
  streams: Set<Stream>;
  forgotten: number;
  silent: boolean;
  /** What each idempotency key was used for, and the agent that it gave; forgotten with it. */
  keys: Map<string, { id: string; request: string }>;
  double: ApiDouble;
}

/** Opens the double. */
export async function openApiDouble(options: DoubleOptions = {}): Promise<ApiDouble> {
  const events: StoredEvent[] = [];
  const streams = new Set<Stream>();
  const server = createServer((request, response) => void answer(state, request, response));
  const { port, stop } = await listenOnLoopback(server, 0);
  const double: ApiDouble = {
    url: `http://127.0.0.1:${port}/api/v1`,
    token: options.token,
    requests: [],
    projects: new Map(),
    agents: new Map(),
    routes: (pattern) => double.requests.map(({ route }) => route).filter((route) => pattern.test(route)),
    set: (id, status, more = {}) => setStatus(state, id, status, more),
    finish: (id, text, status = "idle") => finish(state, id, text, status),
    emit: (project, agentId, type, data) => emit(state, project, agentId, type, data),
    dropStreams: () => {
      for (const { response } of streams) response.socket?.destroy();
      streams.clear();
    },
    streams: () => streams.size,
    silence: (on) => {
      state.silent = on;
    },
    restart: () => {
      double.dropStreams();
      events.length = 0;
    },
    forget: () => {
      state.forgotten = events.length;
    },
    [Symbol.asyncDispose]: stop,
  };
  const state: State = { options, events, streams, forgotten: 0, silent: false, keys: new Map(), double };
  return double;
}

function setStatus(state: State, id: string, status: SessionStatus, more: Partial<DoubleAgent>): void {
  const agent = state.double.agents.get(id);
  if (agent === undefined) return;
  const from = agent.status;
  Object.assign(agent, { status, ...more });
  emit(state, agent.project, id, "status_changed", { from, to: status, source: "protocol" });
}

function finish(state: State, id: string, text: string, status: SessionStatus): void {
  setStatus(state, id, status, { lastMessage: text, messages: [text] });
  const agent = state.double.agents.get(id);
  if (agent === undefined) return;
  emit(state, agent.project, id, "agent_terminal_finalized", { status, lastMessage: text });
  void postHint(agent);
}

async function postHint({ callback, project, id, status }: DoubleAgent): Promise<void> {
  if (callback === undefined) return;
  await fetch(callback.url, {
    method: "POST",
    headers: { authorization: `Bearer ${callback.token}` },
    body: JSON.stringify({
      event: "agent_completed",
      project,
      agentId: id,
      status,
      timestamp: new Date().toISOString(),
    }),
  }).catch(() => undefined);
}

function emit(
  state: State,
  project: string,
  agentId: string | undefined,
  type: string,
  data: Record<string, unknown>,
): void {
  const event = { id: state.events.length + 1, project, agentId, type, data };
  state.events.push(event);
  if (state.silent) return;
  for (const stream of state.streams) if (isFor(stream, event)) stream.response.write(frameOf(event));
}

const isFor = (stream: Stream, event: StoredEvent): boolean =>
  stream.project === event.project && (stream.agentId === undefined || stream.agentId === event.agentId);

function frameOf({ id, project, agentId, type, data }: StoredEvent): string {
  const json = JSON.stringify({ ...data, id: `evt-${id}`, ts: new Date().toISOString(), project, agentId, type });
  return `id: evt-${id}\nevent: ${type}\ndata: ${json}\n\n`;
}

async function answer(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { double, options } = state;
  let text = "";
  for await (const part of request.setEncoding("utf8")) text += String(part);
  const route = `${request.method} ${(request.url ?? "").replace("/api/v1", "")}`;
  const asked: DoubleRequest = {
    route,
    body: text === "" ? {} : JSON.parse(text),
    key: request.headers["idempotency-key"]?.toString(),
    token: request.headers.authorization?.replace("Bearer ", ""),
    count: double.requests.filter((one) => one.route === route).length + 1,
  };
  double.requests.push(asked);
  const trouble = options.trouble?.(asked);
  if (trouble === "hang") return;
  if (trouble === "cut") return void response.socket?.destroy();
  const refused = typeof trouble === "object" ? { ...refusal(trouble.status, trouble.error), ...trouble } : undefined;
  const [path = "", query] = route.split("?");
  const told =
    refused ??
    (double.token !== undefined && asked.token !== double.token
      ? refusal(401, "UNAUTHORIZED")
      : await serve(state, asked, path, new URLSearchParams(query), response));
  if (told === undefined) return;
  if (trouble === "cut after") return void response.socket?.destroy();
  const { status, ...body } = told;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(status === 204 ? undefined : JSON.stringify(body));
}

type Answer = { status: number } & Record<string, unknown>;

const refusal = (status: number, error: string): Answer => ({ status, error, message: `refused: ${error}` });

/** Undefined when the answer is a stream that goes on. */
async function serve(
  state: State,
  asked: DoubleRequest,
  route: string,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<Answer | undefined> {
  const { projects, agents } = state.double;
  const [method = "", path = ""] = route.split(" ");
  const [, project = "", , id = "", ...rest] = path.split("/").slice(1);
  if (route === "POST /projects") return createProject(state, asked.body);
  if (!projects.has(project)) return refusal(404, "PROJECT_NOT_FOUND");
  const last = path.split("/").at(-1);
  if (last === "events") return openStream(state, project, id, query, response);
  if (route === `POST /projects/${project}/agents`) return createAgent(state, project, asked);
  const ours = [...agents.values()].filter((one) => one.project === project);
  if (id === "") {
    if (method === "DELETE") projects.delete(project);
    return method === "DELETE"
      ? { status: 204 }
      : { status: 200, project: { name: project, cwd: projects.get(project) }, agents: ours };
  }
  const agent = ours.find((one) => one.id === id);
  return agent === undefined ? refusal(404, "AGENT_NOT_FOUND") : serveAgent(state, method, agent, rest.join("/"));
}

function createProject({ double }: State, { name, cwd }: Record<string, unknown>): Answer {
  if (double.projects.has(String(name))) return refusal(409, "PROJECT_EXISTS");
  double.projects.set(String(name), String(cwd));
  return { status: 201, project: { name, cwd } };
}

function createAgent(state: State, project: string, { body, key }: DoubleRequest): Answer {
  const { double, options, events } = state;
  const lastEventId = options.old ? {} : { lastEventId: `evt-${events.length}` };
  const { callback: _, ...wanted } = body;
  const request = JSON.stringify(wanted);
  const known = options.old ? undefined : state.keys.get(key ?? "");
  if (known !== undefined) {
    const same = double.agents.get(known.id);
    if (known.request !== request) return refusal(400, "INVALID_REQUEST");
    return same === undefined ? refusal(404, "AGENT_NOT_FOUND") : { status: 201, agent: shown(same), ...lastEventId };
  }
  const id = String(body["name"]);
  if (double.agents.has(id)) return refusal(409, "NAME_CONFLICT");
  const { provider, task, callback } = body as unknown as DoubleAgent;
  const agent: DoubleAgent = {
    ...{ id, project, provider, task, key, status: "starting", lastMessage: null, messages: [], output: "" },
    ...(callback === undefined ? {} : { callback }),
  };
  double.agents.set(id, agent);
  if (key !== undefined) state.keys.set(key, { id, request });
  emit(state, project, id, "agent_started", { provider });
  const answer = { status: 201, agent: shown(agent), ...lastEventId };
  // After the answer, as a program needs some time.
  setImmediate(() => options.onCreate?.(agent, double));
  return answer;
}

const shown = (agent: DoubleAgent): Record<string, unknown> => {
  const { id, project, provider, task, status, reason, pending } = agent;
  const where = { attachCommand: `tmux attach -t ${id}`, journal: `/home/sessions/${id}/journal.jsonl` };
  return { id, project, provider, task, status, reason, pending, ...where };
};

function serveAgent(state: State, method: string, agent: DoubleAgent, what: string): Answer {
  const { options, double } = state;
  if (method === "DELETE") {
    double.agents.delete(agent.id);
    if (agent.key !== undefined) state.keys.delete(agent.key);
    return { status: 204 };
  }
  const said = (text: string) => ({ id: "m", role: "assistant", text });
  const { lastMessage } = agent;
  if (what === "messages/last") {
    return { status: 200, lastAssistantMessage: lastMessage === null ? null : said(lastMessage) };
  }
  if (what === "messages") return { status: 200, messages: agent.messages.map(said) };
  if (what === "output") return { status: 200, output: agent.output, lines: 1 };
  if (what === "abort") setImmediate(() => options.onAbort?.(agent, double));
  if (what === "input") setImmediate(() => options.onInput?.(agent, double));
  return what === "" ? { status: 200, agent: shown(agent) } : { status: 202, sent: true };
}

function openStream(
  state: State,
  project: string,
  id: string,
  query: URLSearchParams,
  response: ServerResponse,
): undefined {
  const stream: Stream = { project, agentId: id === "" || id === "events" ? undefined : id, response };
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(": hello\n\n");
  const since = query.get("since") === null ? state.events.length : Number(query.get("since")?.slice(4));
  if (since < state.forgotten) {
    const data = { from: `evt-${since}`, to: `evt-${state.forgotten}`, reason: "retention" };
    response.write(`event: stream_gap\ndata: ${JSON.stringify(data)}\n\n`);
  }
  const replay = state.events.slice(Math.max(since, state.forgotten)).filter((event) => isFor(stream, event));
  for (const event of replay) response.write(frameOf(event));
  state.streams.add(stream);
  response.on("close", () => state.streams.delete(stream));
  return undefined;
}

/** Waits until the double was asked for this. */
export const asked = (double: ApiDouble, pattern: RegExp, times = 1): Promise<true> =>
  until(`${times} × ${pattern}`, () => double.routes(pattern).length >= times && (true as const));
