import { asQuestions, fitAnswers } from "../questions.ts";
import type { Answer, Pending, PendingQuestion, Update } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";

/* What an extension of pi asks its person, in rpc mode: a choice, a yes or no, a line, a text. */

/** What a request of an extension tells; undefined for what only draws something. */
export function dialog(event: Record<string, unknown>): Extract<Update, { type: "pending" | "error" }> | undefined {
  const method = asText(event["method"]);
  if (method === "notify" && event["notifyType"] === "error") {
    return { type: "error", message: asText(event["message"]) ?? "An extension failed." };
  }
  if (!["select", "confirm", "input", "editor"].includes(method ?? "")) return undefined;
  const { type: _, ...input } = event;
  const questions = questionsOf(input);
  const [{ question: title, options } = { question: "", options: [] }] = questions;
  const id = asText(event["id"]) ?? "";
  return { type: "pending", pending: { id, kind: "question", title, options, questions, input } };
}

function questionsOf(input: Record<string, unknown>): PendingQuestion[] {
  const isConfirm = input["method"] === "confirm";
  const choices = isConfirm ? ["yes", "no"] : asList(input["options"]).flatMap((option) => asText(option) ?? []);
  const text = [input["title"], input["message"]].flatMap((one) => asText(one) ?? []).join(": ");
  const options = choices.map((choice) => ({ id: choice, label: choice }));
  return asQuestions([{ header: asText(input["title"]), question: text, options, freeText: choices.length === 0 }]);
}

/** The line that answers it. */
export function dialogAnswer(pending: Pending, answer: Answer): string {
  const input = asRecord(pending.input);
  const value = "answers" in answer ? fitAnswers(questionsOf(input), answer.answers).answers[0]?.[0] : undefined;
  const confirmed = value === "yes" || ("decision" in answer && answer.decision !== "deny");
  const said = input["method"] === "confirm" ? { confirmed } : value === undefined ? { cancelled: true } : { value };
  return JSON.stringify({ type: "extension_ui_response", id: pending.id, ...said });
}
