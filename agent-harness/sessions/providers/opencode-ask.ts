import { asQuestions, fitAnswers } from "../questions.ts";
import type { Answer, Pending, PendingQuestion } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";
import { optionsOf } from "./options.ts";

/* What opencode asks, and the command for the bridge that answers it. */

type Request = Record<string, unknown>;

/** A permission that opencode asks for. */
export function permission(request: Request): Pending {
  const { sessionID: _, ...input } = request;
  return {
    id: asText(request["id"]) ?? "",
    kind: "permission",
    title: permissionTitle(request),
    options: [
      { id: "allow", label: "Allow once" },
      { id: "allow_always", label: "Allow always", description: patterns(request["always"]) },
      { id: "deny", label: "Reject" },
    ],
    input,
  };
}

function permissionTitle(request: Request): string {
  const metadata = asRecord(request["metadata"]);
  const command = asText(metadata["command"]);
  if (command !== undefined) return command;
  const about = asText(metadata["filepath"]) ?? patterns(request["patterns"]);
  return `${asText(request["permission"]) ?? "permission"} ${about}`.trim();
}

const patterns = (value: unknown): string =>
  asList(value)
    .flatMap((one) => asText(one) ?? [])
    .join(", ");

/** Questions that opencode asks at once. */
export function question(request: Request): Pending {
  const { sessionID: _, ...input } = request;
  const questions = questionsOf(input);
  return {
    id: asText(request["id"]) ?? "",
    kind: "question",
    title: questions.map((one) => one.question).join(" / "),
    options: questions.flatMap((one) => one.options),
    questions,
    input,
  };
}

function questionsOf(input: Request): PendingQuestion[] {
  const asked = asList(input["questions"]).map(asRecord);
  return asQuestions(
    asked.map((one) => ({
      header: asText(one["header"]),
      question: asText(one["question"]) ?? "",
      options: optionsOf(one),
      multiSelect: one["multiple"] === true,
      freeText: one["custom"] !== false,
    })),
  );
}

/** The bridge's command for an answer; undefined for one that does not fit what is asked. */
export function answerCommand(pending: Pending, answer: Answer): object | undefined {
  const { id } = pending;
  if (pending.kind === "permission") {
    if (!("decision" in answer)) return undefined;
    const reply = { allow: "once", allow_always: "always", deny: "reject" }[answer.decision];
    return { do: "reply", id, reply, ...(answer.message === undefined ? {} : { message: answer.message }) };
  }
  if ("decision" in answer) return answer.decision === "deny" ? { do: "reject", id } : undefined;
  return { do: "answer", id, answers: fitAnswers(questionsOf(asRecord(pending.input)), answer.answers).answers };
}
