import { HarnessError } from "../../shared/errors.ts";
import { asQuestions, fitAnswers, type GivenAnswers } from "../questions.ts";
import type { Answer, Pending, PendingQuestion } from "../session.ts";
import type { Ask, AskKind, CodexState } from "./codex-state.ts";
import { asList, asRecord, asText } from "./json.ts";
import { optionsOf } from "./options.ts";

/* What codex asks, as something pending, and the answers in its own words. */

type Params = Record<string, unknown>;
type Asked = Omit<Pending, "id">;

const kinds: Record<string, AskKind> = {
  "item/commandExecution/requestApproval": "command",
  "item/fileChange/requestApproval": "patch",
  "item/permissions/requestApproval": "access",
  "item/tool/requestUserInput": "question",
};

/** What kind of request this is; undefined for one that is no question to a person. */
export function askKind(method: string, params: Params): AskKind | undefined {
  if (method !== "mcpServer/elicitation/request") return Object.hasOwn(kinds, method) ? kinds[method] : undefined;
  if (params["mode"] === "url") return "approval";
  if (!["form", "openai/form", "openaiForm"].includes(asText(params["mode"]) ?? "")) return undefined;
  return fieldsOf(params).length === 0 ? "approval" : "form";
}

/** What is pending with this request. */
export function pendingOf(state: CodexState, kind: AskKind, params: Params): Asked {
  if (kind === "question") return question(params, asList(params["questions"]).map(asRecord));
  if (kind === "form") return question(params, fieldsOf(params), asText(params["message"]));
  const changes = state.changes[asText(params["itemId"]) ?? ""];
  const input = kind === "patch" && changes !== undefined ? { ...params, changes } : params;
  return { kind: "permission", title: titles[kind](input), options: permissionOptions(kind), input };
}

const titles: Record<Exclude<AskKind, "question" | "form">, (params: Params) => string> = {
  command: (params) => {
    const network = asRecord(params["networkApprovalContext"]);
    if (network["host"] !== undefined) return `Reach ${network["host"]} (${network["protocol"] ?? "network"})`;
    return oneLine(asText(params["command"]) ?? asText(params["reason"]) ?? "Run a command");
  },
  patch: (params) => {
    const paths = asList(params["changes"]).map((change) => String(asRecord(change)["path"]));
    const [first, ...rest] = paths;
    if (first === undefined) return oneLine(asText(params["reason"]) ?? "Change files");
    return `Change ${first}${rest.length === 0 ? "" : ` and ${rest.length} more`}`;
  },
  access: (params) => oneLine(asText(params["reason"]) ?? "Get more permissions"),
  approval: (params) =>
    oneLine(asText(params["message"]) ?? asText(params["title"]) ?? `Asked by ${params["serverName"]}`),
};

/** A title is one line; the whole is in the input. */
const oneLine = (text: string): string => (text.includes("\n") ? `${text.slice(0, text.indexOf("\n"))} …` : text);

function permissionOptions(kind: AskKind): Pending["options"] {
  const always = kind === "approval" ? [] : [{ id: "allow_always", label: "Allow for this session" }];
  return [{ id: "allow", label: "Allow" }, ...always, { id: "deny", label: "Decline" }];
}

function question(params: Params, asked: Params[], heading?: string): Asked {
  const input = { ...params, questions: asked };
  const questions = questionsOf(input);
  const [first] = questions;
  const title = [heading, first?.question].filter((text) => text !== undefined).join(" ");
  const more = questions.length > 1 ? ` (and ${questions.length - 1} more)` : "";
  return { kind: "question", title: `${oneLine(title)}${more}`, options: first?.options ?? [], questions, input };
}

function questionsOf(input: Params): PendingQuestion[] {
  const asked = asList(input["questions"]).map(asRecord);
  return asQuestions(
    asked.map((one) => ({
      id: asText(one["id"]),
      header: asText(one["header"]),
      question: asText(one["question"]) ?? "",
      options: optionsOf(one),
      multiSelect: one["type"] === "array",
      // Of a form only a text may be anything.
      freeText: one["type"] === undefined ? one["isOther"] !== false : asList(one["options"]).length === 0,
      required: one["required"] !== false,
    })),
  );
}

/** The fields of a form that a server of tools wants filled in, as questions. */
function fieldsOf(params: Params): Params[] {
  const schema = asRecord(params["requestedSchema"]);
  const required = asList(schema["required"]);
  return Object.entries(asRecord(schema["properties"])).map(([id, value]) => {
    const field = asRecord(value);
    const title = asText(field["title"]);
    const text = asText(field["description"]) ?? title ?? id;
    const options = choicesOf(field);
    return {
      id,
      header: title,
      question: text,
      type: field["type"] ?? "string",
      options,
      required: required.includes(id),
    };
  });
}

/** What may be chosen in a field; the label is what the server of tools is told. */
function choicesOf(field: Params): { label: string; description?: string }[] {
  if (field["type"] === "boolean") return [{ label: "yes" }, { label: "no" }];
  const { items, enumNames } = field;
  const list = asRecord(items);
  const titled = asList(field["oneOf"] ?? list["anyOf"] ?? list["oneOf"]).map(asRecord);
  if (titled.length > 0) return titled.map((one) => labelled(String(one["const"]), asText(one["title"])));
  const names = asList(enumNames);
  return asList(field["enum"] ?? list["enum"]).map((one, at) => labelled(String(one), asText(names[at])));
}

const labelled = (label: string, description: string | undefined): { label: string; description?: string } =>
  description === undefined || description === label ? { label } : { label, description };

/** The answer as codex wants it; undefined for one that does not fit what is asked. */
export function resultOf({ kind }: Ask, pending: Pending, answer: Answer): unknown {
  const params = asRecord(pending.input);
  if ("decision" in answer) return permissionResult(kind, params, answer.decision);
  if (kind === "question") return { answers: answersOf(params, answer.answers, (given) => ({ answers: given })) };
  if (kind === "form") return { action: "accept", content: answersOf(params, answer.answers, formValue), _meta: null };
  return undefined;
}

type Decision = Extract<Answer, { decision: unknown }>["decision"];

function permissionResult(kind: AskKind, params: Params, decision: Decision): unknown {
  switch (kind) {
    case "command":
    case "patch":
      return { decision: { allow: "accept", allow_always: "acceptForSession", deny: "decline" }[decision] };
    case "access": {
      const permissions = decision === "deny" ? {} : grantable(asRecord(params["permissions"]));
      return { permissions, scope: decision === "allow_always" ? "session" : "turn" };
    }
    case "approval":
      return decision === "deny"
        ? { action: "decline", content: null, _meta: null }
        : { action: "accept", content: {}, _meta: null };
    default:
      return undefined;
  }
}

/** What was asked for, without the parts that were not. */
const grantable = (asked: Params): Params =>
  Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== null && value !== undefined));

/** Answers by the id of the question, as codex has it. */
function answersOf(
  params: Params,
  given: GivenAnswers,
  as: (given: string[], question: Params) => unknown,
): Record<string, unknown> {
  const { answers } = fitAnswers(questionsOf(params), given);
  const entries = asList(params["questions"])
    .map(asRecord)
    .flatMap((one, at) => {
      const chosen = answers[at] ?? [];
      return chosen.length === 0 ? [] : [[asText(one["id"]) ?? "", as(chosen, one)] as const];
    });
  return Object.fromEntries(entries);
}

function formValue(given: string[], { id, type }: Params): unknown {
  const [text = ""] = given;
  if (type === "array") return given;
  if (type === "boolean") return text === "yes";
  if (type !== "number" && type !== "integer") return text;
  const value = Number(text);
  if (text.trim() !== "" && (type === "number" ? Number.isFinite(value) : Number.isSafeInteger(value))) return value;
  throw new HarnessError(
    "INVALID_REQUEST",
    `${id} takes ${type === "number" ? "a" : "a whole"} number, not ${JSON.stringify(text)}.`,
  );
}
