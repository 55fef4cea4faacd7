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

/* The Responses protocol of the scripted model server: what codex speaks. Only what its client reads is said. */

/** Whether the newest part of the conversation, after what the user said last, has the result of a tool. */
export function responsesHasToolResult(body: unknown): boolean {
  const input = asList(asRecord(body)["input"]).map(asRecord);
  const lastUser = input.findLastIndex((item) => item["role"] === "user");
  return input.slice(lastUser + 1).some((item) => String(item["type"]).endsWith("_call_output"));
}

/** Answers one request for a response: as a stream of events, or as an error. A reply that hangs keeps the request open. */
export function answerResponses(_: IncomingMessage, response: ServerResponse, body: unknown, reply: Reply): void {
  if (reply.kind === "error") {
    const { status, message, retryAfterSeconds } = reply;
    const type = status === 429 ? "rate_limit_exceeded" : status >= 500 ? "server_error" : "invalid_request_error";
    answerJson(response, status, { error: { message, type, code: type, param: null } }, retryAfterSeconds);
    return;
  }
  const emit = (type: string, data: object): void => writeEvent(response, { type, ...data }, type);
  const shell = { id: freshId("resp"), object: "response", model: asRecord(body)["model"] ?? "scripted" };
  beginStream(response);
  emit("response.created", { response: { ...shell, output: [], status: "in_progress" } });
  if (reply.kind === "hang") return;
  const { item, opening, deltas } = spoken(body, reply);
  emit("response.output_item.added", { output_index: 0, item: { ...item, status: "in_progress", ...opening } });
  for (const delta of deltas) {
    emit("response.output_text.delta", { item_id: item.id, output_index: 0, content_index: 0, delta });
  }
  emit("response.output_item.done", { output_index: 0, item });
  emit("response.completed", { response: { ...shell, output: [item], status: "completed", usage } });
  response.end();
}

const usage = {
  input_tokens: 12,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 8,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 20,
};

interface Spoken {
  item: { id: string; type: string };
  /** What of it is still empty when it is announced. */
  opening: object;
  deltas: string[];
}

/** The one item of the answer; a call in the shape in which the client offered the tool, with JSON or with free text. */
function spoken(body: unknown, reply: SpokenReply): Spoken {
  if (reply.kind === "text") {
    const content = [{ type: "output_text", text: reply.text, annotations: [] }];
    const item = { id: freshId("msg"), type: "message", role: "assistant", status: "completed", content };
    const middle = Math.ceil(reply.text.length / 2);
    const pieces = [reply.text.slice(0, middle), reply.text.slice(middle)];
    return { item, opening: { content: [] }, deltas: pieces.filter((piece) => piece !== "") };
  }
  const { name, input } = reply;
  const offered = asList(asRecord(body)["tools"]).map(asRecord);
  const isCustom = offered.some((tool) => tool["name"] === name && tool["type"] === "custom");
  const call = { id: freshId("fc"), call_id: freshId("call"), name, status: "completed" };
  if (!isCustom) {
    const item = { ...call, type: "function_call", arguments: JSON.stringify(input) };
    return { item, opening: { arguments: "" }, deltas: [] };
  }
  const text = typeof input === "string" ? input : JSON.stringify(input);
  const item = { ...call, type: "custom_tool_call", input: text };
  return { item, opening: { input: "" }, deltas: [] };
}
