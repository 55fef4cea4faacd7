import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";

/* What a scripted model says, and how a protocol file (model-server-*.ts) gets it onto the wire. */

/** How a coding agent asks its model: Anthropic messages, OpenAI responses, OpenAI chat completions. */
export type ModelProtocol = "messages" | "responses" | "chat";

/** What the scripted model says to one request. */
export type Reply =
  | { kind: "text"; text: string }
  /** Calls one tool, by the name and with the input that the coding agent knows. */
  | { kind: "tool"; name: string; input: unknown }
  | { kind: "error"; status: number; message: string; retryAfterSeconds?: number }
  /** Takes the request and never answers. */
  | { kind: "hang" };

/** A reply in which the model itself says something. */
export type SpokenReply = Extract<Reply, { kind: "text" | "tool" }>;

/** One request of a coding agent to its model. */
export interface ModelTurn {
  protocol: ModelProtocol;
  /** The request as JSON. */
  body: unknown;
  /** 1 for the first request that had tools; side questions (a title for the session) are not counted. */
  count: number;
  /** The newest thing that was said is the result of a tool. */
  hasToolResult: boolean;
}

/** Decides what the model says. It may throw: the request is answered with status 500 and the test sees it in `failures`. */
export type Script = (turn: ModelTurn) => Reply | Promise<Reply>;

/** Begins a stream of server-sent events. */
export function beginStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
}

/** Writes one server-sent event; without a name, only its data. */
export function writeEvent(response: ServerResponse, data: unknown, name?: string): void {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  response.write(`${name === undefined ? "" : `event: ${name}\n`}data: ${text}\n\n`);
}

/** Answers with one JSON document. */
export function answerJson(response: ServerResponse, status: number, body: unknown, retryAfterSeconds?: number): void {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (retryAfterSeconds !== undefined) headers["retry-after"] = String(retryAfterSeconds);
  response.writeHead(status, headers).end(JSON.stringify(body));
}

/** An id that no other answer has, such as `msg_…`. */
export const freshId = (prefix: string): string => `${prefix}_${randomUUID().replaceAll("-", "")}`;

/** A value as an object; empty for anything else. */
export const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** A value as a list; empty for anything else. */
export const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
