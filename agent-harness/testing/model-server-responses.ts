import type { IncomingMessage, ServerResponse } from "node:http";
import type { Reply } from "./model-server.ts";

/* The Responses protocol of the scripted model server: what codex speaks. Only what its client reads is said. */

interface ResponsesBody {
  model?: string;
  stream?: boolean;
  input?: { type?: string; role?: string }[];
  tools?: { type?: string; name?: string }[];
}

/** Whether the newest part of the conversation, after what the user said last, has the result of a tool. */
export function responsesHasToolResult(body: unknown): boolean {
  const input = (body as ResponsesBody).input ?? [];
  const lastUser = input.findLastIndex((item) => item.role === "user");
  return input.slice(lastUser + 1).some((item) => (item.type ?? "").endsWith("_call_output"));
}

let made = 0;

/** Answers one request for a response: as a stream of events, or as an error. A reply that hangs keeps the request open. */
export function answerResponses(
  _request: IncomingMessage,
  response: ServerResponse,
  body: unknown,
  reply: Reply,
): void {
  if (reply.kind === "error") return answerError(response, reply);
  made += 1;
  const id = `resp_${process.pid}_${made}`;
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const shell = { id, object: "response", model: (body as ResponsesBody).model ?? "scripted", output: [] as unknown[] };
  emit(response, "response.created", { response: { ...shell, status: "in_progress" } });
  if (reply.kind === "hang") return;
  const item = reply.kind === "text" ? message(id, reply.text) : toolCall(id, body as ResponsesBody, reply);
  emit(response, "response.output_item.added", { output_index: 0, item: { ...item, ...opening(item.type) } });
  if (reply.kind === "text") emitText(response, item.id, reply.text);
  emit(response, "response.output_item.done", { output_index: 0, item });
  emit(response, "response.completed", { response: { ...shell, status: "completed", output: [item], usage } });
  response.end();
}

const usage = {
  input_tokens: 12,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 8,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 20,
};

function emit(response: ServerResponse, type: string, data: Record<string, unknown>): void {
  response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
}

/** A text in two pieces, so that a reader of deltas has more than one to put together. */
function emitText(response: ServerResponse, itemId: string, text: string): void {
  const middle = Math.ceil(text.length / 2);
  for (const delta of [text.slice(0, middle), text.slice(middle)].filter((piece) => piece !== "")) {
    emit(response, "response.output_text.delta", { item_id: itemId, output_index: 0, content_index: 0, delta });
  }
}

const message = (id: string, text: string) => ({
  id: `msg_${id}`,
  type: "message",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [] }],
});

/** A call in the shape in which the client offered the tool: with JSON arguments, or with free text. */
function toolCall(id: string, body: ResponsesBody, reply: Extract<Reply, { kind: "tool" }>) {
  const offered = body.tools?.find((tool) => tool.name === reply.name);
  const call = { id: `fc_${id}`, call_id: `call_${id}`, name: reply.name, status: "completed" };
  return offered?.type === "custom"
    ? {
        ...call,
        type: "custom_tool_call",
        input: typeof reply.input === "string" ? reply.input : JSON.stringify(reply.input),
      }
    : { ...call, type: "function_call", arguments: JSON.stringify(reply.input) };
}

/** What an item does not have yet when it is announced. */
const opening = (type: string) =>
  ({ message: { status: "in_progress", content: [] }, function_call: { status: "in_progress", arguments: "" } })[
    type
  ] ?? {
    status: "in_progress",
    input: "",
  };

function answerError(response: ServerResponse, reply: Extract<Reply, { kind: "error" }>): void {
  const { status, message: text, retryAfterSeconds } = reply;
  const retry = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  response.writeHead(status, { "content-type": "application/json", ...retry });
  const type = status === 429 ? "rate_limit_exceeded" : status >= 500 ? "server_error" : "invalid_request_error";
  response.end(JSON.stringify({ error: { message: text, type, code: type, param: null } }));
}

/** Answers what else a client of this protocol asks for: the list of models. Its try for a WebSocket is refused. */
export function answerResponsesGet(request: IncomingMessage, response: ServerResponse): void {
  const isModels = new URL(request.url ?? "/", "http://localhost").pathname.endsWith("/models");
  response.writeHead(isModels ? 200 : 404, { "content-type": "application/json" });
  response.end(isModels ? '{"object":"list","data":[],"models":[]}' : '{"error":{"message":"Not here."}}');
}
