import type { Update } from "../session.ts";
import { titleOf } from "./claude-code-pending.ts";
import { asList, asRecord, asText } from "./json.ts";

/* The messages of Claude Code: the same blocks on its standard output and in its session log. */

type Json = Record<string, unknown>;

/** The names of tools that are at work, by the id of their use. */
export type Tools = Record<string, string>;

/** The text of a message: of all its text blocks, or the content itself. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  const blocks = asList(content).map(asRecord);
  return blocks.flatMap((block) => (block["type"] === "text" ? [asText(block["text"]) ?? ""] : [])).join("\n");
}

/** What an assistant's line tells: its text, and the tools that it uses. Of a sub-agent only the tools are told. */
export function assistantUpdates(tools: Tools, line: Json, at: number): { tools: Tools; updates: Update[] } {
  const message = asRecord(line["message"]);
  const text = textOf(message["content"]);
  const isOwn = !asText(line["parent_tool_use_id"]);
  const updates: Update[] = [];
  if (text !== "" && isOwn) {
    const id = asText(line["uuid"]) ?? asText(message["id"]) ?? `at-${at}`;
    const finishReason = asText(message["stop_reason"]) ?? null;
    updates.push({ type: "message", message: { id, at: timeOf(line, at), role: "assistant", text, finishReason } });
    updates.push({ type: "output", text: `${text}\n` });
  }
  const used = { ...tools };
  for (const block of asList(message["content"]).map(asRecord)) {
    if (block["type"] !== "tool_use") continue;
    const [id, tool] = [asText(block["id"]) ?? "", asText(block["name"]) ?? ""];
    used[id] = tool;
    updates.push({ type: "tool_use", id, tool, input: block["input"] });
    updates.push({ type: "output", text: `> ${titleOf(tool, block["input"])}\n` });
  }
  return { tools: used, updates };
}

/** The results of tools that a user's line brings. */
export function toolResults(tools: Tools, content: unknown): { tools: Tools; updates: Update[]; ended: string[] } {
  const left = { ...tools };
  const ended: string[] = [];
  const updates = asList(content)
    .map(asRecord)
    .flatMap((block): Update[] => {
      if (block["type"] !== "tool_result") return [];
      const id = asText(block["tool_use_id"]) ?? "";
      const tool = left[id] ?? "";
      delete left[id];
      ended.push(id);
      const output = textOf(block["content"]);
      return [{ type: "tool_result", id, tool, output, isError: block["is_error"] === true }];
    });
  return { tools: left, updates, ended };
}

/** When a line was written: its own time where it has one. */
export function timeOf(line: Json, at: number): number {
  const time = Date.parse(asText(line["timestamp"]) ?? "");
  return Number.isNaN(time) ? at : time;
}
