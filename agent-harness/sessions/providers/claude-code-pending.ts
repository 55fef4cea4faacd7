import { asQuestions, fitAnswers, type GivenAnswers } from "../questions.ts";
import type { Answer, Pending, PendingQuestion } from "../session.ts";
import { asList, asRecord, asText } from "./json.ts";
import { optionsOf } from "./options.ts";

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
  const questions = questionsOf(input);
  const options = questions.flatMap((one) =>
    one.options.map((option) => {
      // With several questions an option alone would not say whose answer it is.
      const own = questions.length === 1 ? option.id : `${one.header ?? one.question}: ${option.id}`;
      return { ...option, id: own, label: own };
    }),
  );
  const title = questions.map((one) => one.question).join(" / ");
  return { id, kind: "question", title: title || "It asks a question.", options, questions, input };
}

function questionsOf(input: Json): PendingQuestion[] {
  const asked = asList(input["questions"]).map(asRecord);
  return asQuestions(
    asked.map((one) => ({
      header: asText(one["header"]),
      question: asText(one["question"]) ?? "",
      options: optionsOf(one),
      multiSelect: one["multiSelect"] === true,
    })),
  );
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

/** The answers by the text of their questions, as the program wants them: several to one in one text. */
function answersOf(asked: Json, given: GivenAnswers): Record<string, string> {
  const questions = questionsOf(asked);
  const { answers } = fitAnswers(questions, given);
  const entries = questions.map(({ question }, at) => [question, answers[at] ?? []] as const);
  return Object.fromEntries(
    entries.filter(([, chosen]) => chosen.length > 0).map(([question, chosen]) => [question, chosen.join(", ")]),
  );
}
