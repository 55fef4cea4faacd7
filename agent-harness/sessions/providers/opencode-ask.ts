import type { Answer, Pending } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";

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
  const questions = asList(request["questions"]).map(asRecord);
  const options = questions.flatMap((one) => asList(one["options"]).map(asRecord));
  const { sessionID: _, ...input } = request;
  return {
    id: asText(request["id"]) ?? "",
    kind: "question",
    title: questions.flatMap((one) => asText(one["question"]) ?? []).join(" / "),
    options: options.flatMap((option) => {
      const label = asText(option["label"]);
      const description = asText(option["description"]);
      return label === undefined ? [] : [{ id: label, label, ...(description === undefined ? {} : { description }) }];
    }),
    input,
  };
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
  const questions = asList(asRecord(pending.input)["questions"]).map(asRecord);
  return { do: "answer", id, answers: questions.map((one, index) => chosen(one, index, answer.answers)) };
}

/** By the question's text, its header, or its place. */
function chosen(one: Request, index: number, answers: Record<string, string | string[]>): string[] {
  const keys = [asText(one["question"]), asText(one["header"]), String(index)];
  const key = keys.find((name) => name !== undefined && Object.hasOwn(answers, name));
  const value = key === undefined ? [] : (answers[key] ?? []);
  return typeof value === "string" ? [value] : value;
}
