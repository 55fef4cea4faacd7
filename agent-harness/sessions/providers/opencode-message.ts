import type { Reading } from "../provider.ts";
import type { Update } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";
import { type OpencodeState, remember } from "./opencode-state.ts";

/* Messages of opencode and their parts. A subagent's tools are told, its words are not: they are said to its parent. */

type OpencodeReading = Reading<OpencodeState>;
type Json = Record<string, unknown>;

const nothing = (state: OpencodeState): OpencodeReading => ({ state, updates: [] });

/** A message, without its parts. */
export function readMessage(state: OpencodeState, info: Json): OpencodeReading {
  const id = asText(info["id"]) ?? "";
  if (state.children.includes(asText(info["sessionID"]) ?? "")) return nothing(state);
  if (info["role"] === "user") return state.users.includes(id) ? nothing(state) : userMessage(state, id);
  return assistantMessage(state, id, info);
}

/** A prompt is in the conversation, from us or from a person at the terminal: a turn begins, or goes on with it. */
function userMessage(state: OpencodeState, id: string): OpencodeReading {
  const after = { ...state, users: remember(state.users, id), owed: Math.max(0, state.owed - 1) };
  if (state.phase === "busy" || state.phase === "begun") return nothing(after);
  const { failure: _, ...fresh } = after;
  return {
    state: { ...fresh, phase: "begun", aborted: false },
    updates: [{ type: "status", status: "processing", source: "protocol" }],
  };
}

/**
 * opencode writes an event down when it sends it, not when it happens: a message may be called completed before its texts were
 * told. So the end of its step counts, which comes after them.
 */
function assistantMessage(state: OpencodeState, id: string, info: Json): OpencodeReading {
  const { completed } = asRecord(info["time"]);
  if (typeof completed !== "number" || state.text?.id !== id || state.text.finish === undefined) return nothing(state);
  return wholeMessage(state, { at: completed, finishReason: asText(info["finish"]) ?? state.text.finish });
}

/** Tells the message whose text is there, if there is one: nothing more will come of it. */
export function wholeMessage(
  state: OpencodeState,
  told: { at?: number; finishReason: string | null },
): { state: OpencodeState; updates: Update[] } {
  const { text: under, ...rest } = state;
  if (under === undefined) return { state, updates: [] };
  const { id, text, at } = under;
  return {
    state: { ...rest, seen: remember(state.seen, id) },
    updates: [{ type: "message", message: { id, at, role: "assistant", text, ...told } }],
  };
}

/** A part of a message: a text, a tool. */
export function readPart(state: OpencodeState, part: Json, at: number): OpencodeReading {
  if (part["type"] === "tool") return readTool(state, part);
  if (part["type"] === "step-finish") return nothing(stepFinished(state, part));
  const id = asText(part["id"]) ?? "";
  const text = asText(part["text"]) ?? "";
  const isChild = state.children.includes(asText(part["sessionID"]) ?? "");
  if (part["type"] !== "text" || text === "" || isChild || state.seen.includes(id)) return nothing(state);
  const messageId = asText(part["messageID"]) ?? "";
  if (!state.users.includes(messageId)) return assistantText(state, { id, messageId, text, part });
  // What opencode adds to a prompt by itself.
  if (part["synthetic"] === true || part["ignored"] === true) return nothing(state);
  const message = { id, at, role: "user" as const, text, finishReason: null };
  return { state: { ...state, seen: remember(state.seen, id) }, updates: [{ type: "message", message }] };
}

function stepFinished(state: OpencodeState, part: Json): OpencodeState {
  if (state.text === undefined || state.text.id !== part["messageID"]) return state;
  return { ...state, text: { ...state.text, finish: asText(part["reason"]) ?? "" } };
}

function assistantText(
  state: OpencodeState,
  { id, messageId, text, part }: { id: string; messageId: string; text: string; part: Json },
): OpencodeReading {
  const { end } = asRecord(part["time"]);
  if (typeof end !== "number") return nothing(state);
  const before = state.text?.id === messageId ? `${state.text.text}\n\n` : "";
  return {
    state: { ...state, seen: remember(state.seen, id), text: { id: messageId, text: before + text, at: end } },
    updates: [{ type: "output", text }],
  };
}

function readTool(state: OpencodeState, part: Json): OpencodeReading {
  const id = asText(part["id"]) ?? "";
  const tool = asText(part["tool"]) ?? "";
  const call = asRecord(part["state"]);
  const status = call["status"];
  if (!["running", "completed", "error"].includes(String(status)) || state.seen.includes(id)) return nothing(state);
  const isNew = !state.tools.includes(id);
  const use: Update[] = isNew ? [{ type: "tool_use", id, tool, input: call["input"] }] : [];
  if (status === "running") {
    return { state: isNew ? { ...state, tools: remember(state.tools, id) } : state, updates: use };
  }
  const output = asText(status === "error" ? call["error"] : call["output"]) ?? "";
  return {
    state: { ...state, tools: state.tools.filter((one) => one !== id), seen: remember(state.seen, id) },
    updates: [...use, { type: "tool_result", id, tool, output, isError: status === "error" }],
  };
}

/** Messages with their parts, as they are asked for after a connection: what was told already is not told again. */
export function readMessages(state: OpencodeState, messages: unknown, at: number): OpencodeReading {
  let reading = nothing(state);
  const step = (next: (state: OpencodeState) => OpencodeReading): void => {
    const { state: after, updates } = next(reading.state);
    reading = { state: after, updates: [...reading.updates, ...updates] };
  };
  for (const message of asList(messages).map(asRecord)) {
    const info = asRecord(message["info"]);
    const created = asRecord(info["time"])["created"];
    const isUser = info["role"] === "user";
    if (isUser) step((now) => readMessage(now, info));
    for (const part of asList(message["parts"]).map(asRecord)) {
      step((now) => readPart(now, part, typeof created === "number" ? created : at));
    }
    if (!isUser) step((now) => readMessage(now, info));
  }
  return reading;
}
