import { createHash } from "node:crypto";
import type { SessionMessage, Update } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";
import type { Ending, PiState } from "./pi-state.ts";

/* A message as pi writes it, in an event or in a line of its session log. */

/** What a finished message tells: once, whichever of the two witnesses comes first. */
export function messageUpdates(state: PiState, value: unknown, at: number): { state: PiState; updates: Update[] } {
  const message = asRecord(value);
  const role = message["role"];
  const text = textOf(message["content"]);
  if ((role !== "user" && role !== "assistant") || text === "") return { state, updates: [] };
  const time = typeof message["timestamp"] === "number" ? message["timestamp"] : at;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 8);
  const id = `${role}-${time}-${digest}`;
  if (state.seen.includes(id)) return { state, updates: [] };
  const finishReason = asText(message["stopReason"]) ?? null;
  const told: SessionMessage = { id, at: time, role, text, finishReason };
  const output: Update[] = role === "assistant" ? [{ type: "output", text }] : [];
  return {
    state: { ...state, seen: [...state.seen, id].slice(-50) },
    updates: [...output, { type: "message", message: told }],
  };
}

/** How the turn ended, by the last assistant message of it. */
export function endingOf(messages: unknown): Ending | undefined {
  const last = asList(messages)
    .map(asRecord)
    .findLast((message) => message["role"] === "assistant");
  const stopReason = asText(last?.["stopReason"]);
  if (stopReason === undefined) return undefined;
  const errorMessage = asText(last?.["errorMessage"]);
  return { stopReason, ...(errorMessage === undefined ? {} : { errorMessage }) };
}

/** The text of a content, which is a text itself or a list of parts. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  const parts = asList(content).map(asRecord);
  return parts.flatMap((part) => (part["type"] === "text" ? [asText(part["text"]) ?? ""] : [])).join("");
}
