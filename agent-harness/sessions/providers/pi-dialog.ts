import type { Answer, Pending, Update } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";

/* What an extension of pi asks its person, in rpc mode: a choice, a yes or no, a line, a text. */

/** What a request of an extension tells; undefined for what only draws something. */
export function dialog(event: Record<string, unknown>): Extract<Update, { type: "pending" | "error" }> | undefined {
  const method = asText(event["method"]);
  if (method === "notify" && event["notifyType"] === "error") {
    return { type: "error", message: asText(event["message"]) ?? "An extension failed." };
  }
  if (!["select", "confirm", "input", "editor"].includes(method ?? "")) return undefined;
  const texts = asList(event["options"]).flatMap((option) => asText(option) ?? []);
  const choices = method === "confirm" ? ["yes", "no"] : texts;
  const title = [event["title"], event["message"]].flatMap((text) => asText(text) ?? []).join(": ");
  const { type: _, ...input } = event;
  const options = choices.map((text) => ({ id: text, label: text }));
  return { type: "pending", pending: { id: asText(event["id"]) ?? "", kind: "question", title, options, input } };
}

/** The line that answers it. */
export function dialogAnswer(pending: Pending, answer: Answer): string {
  const value = "answers" in answer ? first(answer.answers) : undefined;
  const allowed = "decision" in answer && answer.decision !== "deny";
  const confirmed = allowed || (value !== undefined && /^(y|yes|true|ok)$/i.test(value));
  const isConfirm = asRecord(pending.input)["method"] === "confirm";
  const said = isConfirm ? { confirmed } : value === undefined ? { cancelled: true } : { value };
  return JSON.stringify({ type: "extension_ui_response", id: pending.id, ...said });
}

function first(answers: Record<string, string | string[]>): string | undefined {
  const [only] = Object.values(answers);
  return Array.isArray(only) ? only.join(", ") : only;
}
