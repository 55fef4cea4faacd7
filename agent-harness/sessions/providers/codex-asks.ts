import type { Answer, Pending } from "../session.ts";
import type { Ask, AskKind, CodexState } from "./codex-state.ts";
import { asList, asRecord, asText } from "./json.ts";

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

function question(params: Params, questions: Params[], heading?: string): Asked {
  const [first = {}] = questions;
  const title = [heading, asText(first["question"])].filter((text) => text !== undefined).join(" ");
  const more = questions.length > 1 ? ` (and ${questions.length - 1} more)` : "";
  return {
    kind: "question",
    title: `${oneLine(title)}${more}`,
    options: optionsOf(first),
    input: { ...params, questions },
  };
}

function optionsOf(question: Params): Pending["options"] {
  const options = asList(question["options"]).map(asRecord);
  return options.map((option) => {
    const label = asText(option["label"]) ?? "";
    const description = asText(option["description"]);
    return { id: label, label, ...(description === undefined ? {} : { description }) };
  });
}

/** The fields of a form that a server of tools wants filled in, as questions. */
function fieldsOf(params: Params): Params[] {
  const properties = asRecord(asRecord(params["requestedSchema"])["properties"]);
  return Object.entries(properties).map(([id, value]) => {
    const field = asRecord(value);
    const choices = asList(field["enum"]).map((label) => ({ label: String(label) }));
    const text = asText(field["description"]) ?? asText(field["title"]) ?? id;
    return { id, question: text, type: field["type"], options: choices };
  });
}

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

/** Answers by the id of the question. They may be given by its id, its text or its heading, or alone. */
function answersOf(
  params: Params,
  given: Record<string, string | string[]>,
  as: (given: string[], question: Params) => unknown,
): Record<string, unknown> {
  const questions = asList(params["questions"]).map(asRecord);
  const entries = questions.flatMap((one) => {
    const names = [one["id"], one["question"], one["header"]].flatMap((name) => asText(name) ?? []);
    const name = names.find((key) => Object.hasOwn(given, key));
    const only = questions.length === 1 ? Object.values(given)[0] : undefined;
    const value = name === undefined ? only : given[name];
    return value === undefined ? [] : [[asText(one["id"]) ?? "", as([value].flat(), one)] as const];
  });
  return Object.fromEntries(entries);
}

function formValue([text = ""]: string[], field: Params): unknown {
  if (field["type"] === "boolean") return /^(?:true|yes|y|1)$/i.test(text);
  if (field["type"] === "number" || field["type"] === "integer") return Number(text);
  return text;
}
