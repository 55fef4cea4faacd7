import type { IncomingMessage, ServerResponse } from "node:http";
import {
  answerJson,
  asList,
  asRecord,
  beginStream,
  freshId,
  type Reply,
  type SpokenReply,
  writeEvent,
} from "./model-server-reply.ts";

/* Anthropic's /v1/messages, streamed and not. */

const errorTypes: Record<number, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};

/** Whether the newest message holds the result of a tool. */
export function messagesHasToolResult(body: unknown): boolean {
  const spoken = asList(asRecord(body)["messages"]).filter((message) => asRecord(message)["role"] !== "system");
  return asList(asRecord(spoken.at(-1))["content"]).some((block) => asRecord(block)["type"] === "tool_result");
}

/** Answers a request in Anthropic's protocol; a reply that hangs leaves the request open, without a byte. */
export function answerMessages(_: IncomingMessage, response: ServerResponse, body: unknown, reply: Reply): void {
  if (reply.kind === "hang") return;
  if (reply.kind === "error") {
    const error = { type: errorTypes[reply.status] ?? "api_error", message: reply.message };
    answerJson(response, reply.status, { type: "error", error, request_id: freshId("req") }, reply.retryAfterSeconds);
    return;
  }
  const message = answered(body, reply);
  if (asRecord(body)["stream"] === true) streamMessage(response, message, reply);
  else answerJson(response, 200, message);
}

function answered(body: unknown, reply: SpokenReply) {
  return {
    id: freshId("msg"),
    type: "message",
    role: "assistant",
    model: asRecord(body)["model"] ?? "scripted",
    content: [contentOf(reply)],
    stop_reason: reply.kind === "tool" ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 12, output_tokens: 8 },
  };
}

function contentOf(reply: SpokenReply): Record<string, unknown> {
  if (reply.kind === "text") return { type: "text", text: reply.text };
  return { type: "tool_use", id: freshId("toolu"), name: reply.name, input: reply.input };
}

function streamMessage(response: ServerResponse, message: ReturnType<typeof answered>, reply: SpokenReply): void {
  const send = (type: string, data: object): void => writeEvent(response, { type, ...data }, type);
  const empty = reply.kind === "text" ? { text: "" } : { input: {} };
  const delta =
    reply.kind === "text"
      ? { type: "text_delta", text: reply.text }
      : { type: "input_json_delta", partial_json: JSON.stringify(reply.input) };
  beginStream(response);
  send("message_start", { message: { ...message, content: [], stop_reason: null } });
  send("content_block_start", { index: 0, content_block: { ...message.content[0], ...empty } });
  send("content_block_delta", { index: 0, delta });
  send("content_block_stop", { index: 0 });
  send("message_delta", {
    delta: { stop_reason: message.stop_reason, stop_sequence: null },
    usage: { output_tokens: message.usage.output_tokens },
  });
  send("message_stop", {});
  response.end();
}
