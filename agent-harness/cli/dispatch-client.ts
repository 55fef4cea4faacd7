import { readFile } from "node:fs/promises";
import {
  type AgentView,
  type HarnessClient,
  type ProjectView,
  type SessionStatus,
  type StreamItem,
  type StreamRequest,
  sessionStatuses,
} from "../sessions/index.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type ApiHttp, type Json, objectOf, openApiHttp, textOf } from "./dispatch-http.ts";

/* dispatch's client: the routes of the API as the core of dispatch knows them. */

const requestLimitMs = 30_000;

export interface ClientPlace {
  /** With the prefix, such as http://127.0.0.1:7070/api/v1. */
  baseUrl: string;
  /** HARNESS_BEARER_TOKEN. */
  token: string | undefined;
  paths: Pick<HomePaths, "apiToken">;
}

/** Opens a client; the token is HARNESS_BEARER_TOKEN, else the one that the machine's own API keeps in its home. */
export async function openDispatchClient({ baseUrl, token, paths }: ClientPlace): Promise<HarnessClient> {
  // The machine's own token is for the machine's own API.
  const ownToken = async (): Promise<string | undefined> =>
    isLoopback(baseUrl) ? (await readFile(paths.apiToken, "utf8").catch(() => "")).trim() || undefined : undefined;
  let current = token ?? (await ownToken());
  const http = openApiHttp({ baseUrl: baseUrl.replace(/\/+$/, ""), token: () => current, requestLimitMs });
  return {
    ...requestsOf(http),
    refreshToken: async () => {
      current = (await ownToken()) ?? current;
    },
  };
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

function requestsOf(http: ApiHttp): Omit<HarnessClient, "refreshToken"> {
  const nothing = async (sent: Promise<Json>): Promise<void> => void (await sent);
  return {
    createProject: async (body) => projectOf(await http.json("POST", "/projects", { body })),
    getProject: async (name) => projectOf(await http.json("GET", path(name))),
    deleteProject: (name) => nothing(http.json("DELETE", path(name))),
    createAgent: async (project, body, idempotencyKey) => {
      const made = await http.json("POST", `${path(project)}/agents`, { body, idempotencyKey });
      return { agent: agentOf(made["agent"]), lastEventId: eventNumber(made["lastEventId"]) };
    },
    getAgent: async (project, id) => agentOf((await http.json("GET", path(project, id)))["agent"]),
    input: (project, id, text, idempotencyKey) =>
      nothing(http.json("POST", `${path(project, id)}/input`, { body: { text }, idempotencyKey })),
    abort: (project, id) => nothing(http.json("POST", `${path(project, id)}/abort`)),
    deleteAgent: (project, id) => nothing(http.json("DELETE", path(project, id))),
    lastMessage: async (project, id) => {
      const { lastAssistantMessage } = await http.json("GET", `${path(project, id)}/messages/last`);
      return textOf(objectOf(lastAssistantMessage)["text"]);
    },
    messages: async (project, id, limit) => {
      const { messages } = await http.json("GET", `${path(project, id)}/messages?role=assistant&limit=${limit}`);
      return (Array.isArray(messages) ? messages : []).map((one) => textOf(objectOf(one)["text"]) ?? "");
    },
    output: async (project, id, lines) =>
      textOf((await http.json("GET", `${path(project, id)}/output?lines=${lines}`))["output"]) ?? "",
    events: (project, stream) => readEvents(http, project, stream),
  };
}

const path = (project: string, id?: string): string =>
  `/projects/${encodeURIComponent(project)}${id === undefined ? "" : `/agents/${encodeURIComponent(id)}`}`;

function projectOf(answer: Json): ProjectView {
  const { name, cwd } = objectOf(answer["project"]);
  const agents = Array.isArray(answer["agents"]) ? answer["agents"] : [];
  return {
    name: textOf(name) ?? "",
    cwd: textOf(cwd) ?? "",
    agents: agents.map((one) => ({ id: textOf(objectOf(one)["id"]) ?? "" })),
  };
}

function agentOf(value: unknown): AgentView {
  const agent = objectOf(value);
  const { id, provider, status, task, reason, pending, attachCommand, journal, providerSessionFile } = agent;
  return {
    id: textOf(id) ?? "",
    provider: textOf(provider) ?? "",
    status: statusOf(status),
    task: textOf(task) ?? "",
    reason: textOf(reason),
    waitsFor: textOf(objectOf(pending)["title"]),
    attachCommand: textOf(attachCommand),
    logPath: textOf(journal) ?? textOf(providerSessionFile),
  };
}

/** A status that we do not know is none that a run ends with. */
const statusOf = (value: unknown): SessionStatus => sessionStatuses.find((one) => one === value) ?? "processing";

/** The number in an id such as evt-17. */
function eventNumber(id: unknown): number | undefined {
  const number = typeof id === "string" ? /^evt-(\d{1,15})$/.exec(id)?.[1] : undefined;
  return number === undefined ? undefined : Number(number);
}

async function* readEvents(
  http: ApiHttp,
  project: string,
  { agentId, since, signal }: StreamRequest,
): AsyncIterable<StreamItem> {
  const query = since === undefined ? "" : `?since=evt-${since}`;
  const body = await http.stream(`${path(project, agentId)}/events${query}`, signal);
  yield { kind: "open" };
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of body) {
    text = (text + decoder.decode(part, { stream: true })).replaceAll("\r\n", "\n");
    const frames = text.split("\n\n");
    text = frames.pop() ?? "";
    for (const frame of frames) yield itemOf(frame);
  }
}

/** What one frame says; what is no event of an agent shows at least that the stream lives. */
function itemOf(frame: string): StreamItem {
  const fields = frame.split("\n").map((line) => /^(\w+): ?(.*)$/s.exec(line));
  const fieldOf = (name: string): string =>
    fields
      .filter((field) => field?.[1] === name)
      .map((field) => field?.[2] ?? "")
      .join("\n");
  const data = parseData(fieldOf("data"));
  const type = fieldOf("event") || (textOf(data["type"]) ?? "");
  const id = fieldOf("id") || data["id"];
  if (type === "stream_gap") return { kind: "gap", to: eventNumber(data["to"]) };
  if (type === "" || type === "heartbeat") return { kind: "heartbeat" };
  return { kind: "event", id: eventNumber(id), type, agentId: textOf(data["agentId"]), data };
}

function parseData(text: string): Json {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    // A heartbeat has no data.
    return {};
  }
}
