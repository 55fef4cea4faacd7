import type { SessionMessage, Update } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";

/* The items of a codex thread: messages, commands, changes of files, calls of tools. */

type Item = Record<string, unknown>;

/** An item that is a tool at work: what it is called here, and what it was given. */
function toolOf(item: Item): { tool: string; input: unknown } | undefined {
  switch (item["type"]) {
    case "commandExecution":
      return { tool: "shell", input: { command: item["command"], cwd: item["cwd"] } };
    case "fileChange":
      return { tool: "apply_patch", input: { changes: item["changes"] } };
    case "mcpToolCall":
      return { tool: `${item["server"]}.${item["tool"]}`, input: item["arguments"] };
    case "dynamicToolCall":
      return { tool: String(item["tool"]), input: item["arguments"] };
    case "collabAgentToolCall":
      return { tool: String(item["tool"]), input: { prompt: item["prompt"], agents: item["receiverThreadIds"] } };
    case "webSearch":
      return { tool: "web_search", input: { query: item["query"] } };
    case "imageView":
      return { tool: "view_image", input: { path: item["path"] } };
    default:
      return undefined;
  }
}

/** Said in other words by what we read. */
const ignored = new Set(
  `hookPrompt functionCallOutput plan reasoning subAgentActivity sleep imageGeneration enteredReviewMode exitedReviewMode
  contextCompaction`.split(/\s+/),
);

/** What the start of an item tells. */
export function startedItem(item: Item): Update[] {
  const known = toolOf(item);
  return known === undefined ? [] : [{ type: "tool_use", id: idOf(item), ...known }];
}

/** What a finished item tells. `n` and `at` are the record's. */
export function completedItem(item: Item, { n, at }: { n: number; at: number }): Update[] {
  if (item["type"] === "userMessage") return message(item, "user", userText(item["content"]), n, at);
  if (item["type"] === "agentMessage") return message(item, "assistant", asText(item["text"]) ?? "", n, at);
  const known = toolOf(item);
  if (known !== undefined) return [{ type: "tool_result", id: idOf(item), tool: known.tool, ...resultOf(item) }];
  return ignored.has(asText(item["type"]) ?? "") ? [] : [{ type: "unknown", raw: item }];
}

const idOf = (item: Item): string => asText(item["id"]) ?? "";

function message(item: Item, role: "user" | "assistant", text: string, n: number, at: number): Update[] {
  if (text === "") return [];
  const written = item["completedAtMs"];
  // The ids are the model server's, and not every one gives each message another.
  const id = `${idOf(item)}:${n}`;
  const told: SessionMessage = { id, at: typeof written === "number" ? written : at, role, text, finishReason: null };
  const output: Update[] = role === "assistant" ? [{ type: "output", text }] : [];
  return [...output, { type: "message", message: told }];
}

function userText(content: unknown): string {
  const parts = asList(content)
    .map(asRecord)
    .map((part) => asText(part["text"]) ?? `[${part["type"]}]`);
  return parts.join("\n");
}

function resultOf(item: Item): { output: string; isError: boolean } {
  const status = asText(item["status"]);
  const isError = (status !== undefined && status !== "completed") || item["success"] === false;
  const text = outputOf(item);
  if (text !== "" || !isError) return { output: text, isError };
  return { output: status ?? "failed", isError };
}

function outputOf(item: Item): string {
  switch (item["type"]) {
    case "commandExecution":
      return asText(item["aggregatedOutput"]) ?? "";
    case "fileChange":
      return asList(item["changes"])
        .map(asRecord)
        .map((change) => `${asRecord(change["kind"])["type"]} ${change["path"]}`)
        .join("\n");
    case "mcpToolCall":
      return asText(asRecord(item["error"])["message"]) ?? textOf(asRecord(item["result"])["content"]);
    case "dynamicToolCall":
      return textOf(item["contentItems"]);
    default:
      return "";
  }
}

const textOf = (content: unknown): string =>
  asList(content)
    .map(asRecord)
    .flatMap((part) => asText(part["text"]) ?? [])
    .join("\n");
