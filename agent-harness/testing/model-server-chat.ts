import type { IncomingMessage, ServerResponse } from "node:http";
import { beginStream, type Reply, type SpokenReply } from "./model-server-reply.ts";

/* The model server's third protocol: OpenAI chat completions, which opencode and pi speak to a model of one's own. */

interface ChatBody {
  model?: string;
  stream?: boolean;
  tools?: unknown[];
  messages?: { role?: string; content?: unknown }[];
}

const asChat = (body: unknown): ChatBody => (typeof body === "object" && body !== null ? body : {});
const usage = { prompt_tokens: 24, completion_tokens: 16, total_tokens: 40 };

/** Whether the request gives the model the result of a tool that it called since the person last spoke. */
export function chatHasToolResult(body: unknown): boolean {
  const messages = asChat(body).messages ?? [];
  const spoke = messages.findLastIndex((message) => message.role === "user");
  return messages.slice(spoke + 1).some((message) => message.role === "tool");
}

/** Answers POST /v1/chat/completions, as a stream where one was asked for. */
export function answerChat(_request: IncomingMessage, response: ServerResponse, body: unknown, reply: Reply): void {
  const chat = asChat(body);
  if (reply.kind === "hang") {
    if (chat.stream) beginStream(response);
    if (chat.stream) response.flushHeaders();
    return;
  }
  if (reply.kind === "error") {
    const retry = reply.retryAfterSeconds === undefined ? {} : { "retry-after": String(reply.retryAfterSeconds) };
    response.writeHead(reply.status, { "content-type": "application/json", ...retry });
    response.end(JSON.stringify({ error: { message: reply.message, type: "scripted_error", code: reply.status } }));
    return;
  }
  const { message, finish } = completion(reply);
  const head = {
    id: `chatcmpl-${Date.now()}`,
    created: Math.floor(Date.now() / 1000),
    model: chat.model ?? "scripted",
  };
  if (!chat.stream) {
    const choices = [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finish }];
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ ...head, object: "chat.completion", choices, usage }));
    return;
  }
  const chunk = (delta: object, finish_reason: string | null = null, more: object = {}) =>
    `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }], ...more })}\n\n`;
  beginStream(response);
  response.write(chunk({ role: "assistant", content: "" }));
  for (const delta of deltas(message)) response.write(chunk(delta));
  response.write(chunk({}, finish, { usage }));
  response.end("data: [DONE]\n\n");
}

interface Completion {
  content: string | null;
  tool_calls?: { id: string; type: "function"; function: { name: string; arguments: string } }[];
}

let calls = 0;

function completion(reply: SpokenReply): { message: Completion; finish: string } {
  if (reply.kind === "text") return { message: { content: reply.text }, finish: "stop" };
  const call = { name: reply.name, arguments: JSON.stringify(reply.input) };
  const id = `call_scripted_${process.pid}_${++calls}`;
  return { message: { content: null, tool_calls: [{ id, type: "function", function: call }] }, finish: "tool_calls" };
}

/** In pieces, as models send it: a program that only understands whole messages must fail in a test. */
function deltas(message: Completion): object[] {
  const pieces: object[] = cut(message.content ?? "").map((content) => ({ content }));
  for (const [index, { id, type, function: call }] of (message.tool_calls ?? []).entries()) {
    pieces.push({ tool_calls: [{ index, id, type, function: { name: call.name, arguments: "" } }] });
    for (const piece of cut(call.arguments)) {
      pieces.push({ tool_calls: [{ index, function: { arguments: piece } }] });
    }
  }
  return pieces;
}

function cut(text: string): string[] {
  const size = Math.max(8, Math.ceil(text.length / 12));
  const letters = Array.from(text);
  return Array.from({ length: Math.ceil(letters.length / size) }, (_, i) =>
    letters.slice(i * size, (i + 1) * size).join(""),
  );
}
