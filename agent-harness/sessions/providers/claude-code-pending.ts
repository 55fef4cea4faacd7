import type { Answer, Pending } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";

/* What Claude Code asks before it uses a tool, and its answers. Its questions to the person are the use of a tool as well. */

type Json = Record<string, unknown>;

const questionTool = "AskUserQuestion";

/** What is asked, by the id under which it has to be answered. */
export function pendingOf(
  id: string,
  asked: { tool: string; input: unknown; suggestions?: unknown; why?: unknown },
): Pending {
  if (asked.tool === questionTool) return question(id, asRecord(asked.input));
  const suggestions = lasting(asked.suggestions);
  const why = asText(asked.why);
  return {
    id,
    kind: "permission",
    title: titleOf(asked.tool, asked.input),
    options: [
      { id: "allow", label: "Allow" },
      ...(suggestions.length === 0 ? [] : [{ id: "allow_always", label: "Allow, and for the rest of this session" }]),
      { id: "deny", label: "Deny" },
    ],
    input: { tool: asked.tool, input: asked.input, suggestions, ...(why === undefined ? {} : { reason: why }) },
  };
}

function question(id: string, input: Json): Pending {
  const questions = asList(input["questions"]).map(asRecord);
  const options = questions.flatMap((one) =>
    asList(one["options"]).map((option) => {
      const { label, description } = asRecord(option);
      const name = asText(label) ?? "";
      // With several questions an option alone would not say whose answer it is.
      const own = questions.length === 1 ? name : `${asText(one["header"]) ?? asText(one["question"])}: ${name}`;
      return {
        id: own,
        label: own,
        ...(asText(description) === undefined ? {} : { description: asText(description) }),
      };
    }),
  );
  const title = questions.map((one) => asText(one["question"]) ?? "").join(" / ");
  return { id, kind: "question", title: title || "It asks a question.", options: options as Pending["options"], input };
}

/** One line for a person: what the tool would do. */
export function titleOf(tool: string, input: unknown): string {
  const { command, file_path: file, notebook_path: notebook, url, pattern, query, description } = asRecord(input);
  const what = [command, file, notebook, url, pattern, query, description]
    .map(asText)
    .find((text) => text !== undefined);
  const line = (what ?? JSON.stringify(input) ?? "").split("\n", 1)[0] ?? "";
  return `${tool}: ${line}`.slice(0, 300);
}

/**
 * What "always" allows: the rules that the program proposes, for this session and not in the settings of the directory. A
 * change of mode would allow far more, so it is taken only where there is no rule.
 */
function lasting(suggestions: unknown): Json[] {
  const all = asList(suggestions).map((one) => ({ ...asRecord(one), destination: "session" }) as Json);
  const rules = all.filter((one) => one["type"] === "addRules");
  return rules.length > 0 ? all.filter((one) => one["type"] !== "setMode") : all;
}

/** What is decided, in the program's words; undefined when the answer is not one to what is asked. */
export function decisionOf(pending: Pending, answer: Answer): Json | undefined {
  const asked = asRecord(pending.input);
  if ("answers" in answer) {
    if (pending.kind !== "question") return undefined;
    return { behavior: "allow", updatedInput: { ...asked, answers: answersOf(asked, answer.answers) } };
  }
  if (answer.decision === "deny") return denial(answer.message);
  if (pending.kind !== "permission") return undefined;
  const allowed = { behavior: "allow", updatedInput: asked["input"] };
  return answer.decision === "allow" ? allowed : { ...allowed, updatedPermissions: asked["suggestions"] };
}

/** A refusal, with what the model is told. */
export const denial = (message: string | undefined): Json => ({
  behavior: "deny",
  message: message ?? "The person refused this.",
});

/** The answers by the text of their questions; they may be given by header or number too. */
function answersOf(asked: Json, given: Record<string, string | string[]>): Record<string, string> {
  const questions = asList(asked["questions"]).map(asRecord);
  const entries = Object.entries(given).map(([name, value]) => {
    const known = questions.find((one, at) => [one["question"], one["header"], String(at + 1)].includes(name));
    return [asText(known?.["question"]) ?? name, Array.isArray(value) ? value.join(", ") : value];
  });
  return Object.fromEntries(entries) as Record<string, string>;
}
