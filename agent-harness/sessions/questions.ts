import type { PendingQuestion } from "./session.ts";

/* The questions of something pending, and which answer is whose. The same for every provider. */

/** Answers as they are given: one or several, under a name of their question. */
export type GivenAnswers = Record<string, string | string[]>;

/** A question as a provider has it: without an id or a header where it has none; what is left out is as with most. */
export interface AskedQuestion extends Partial<Omit<PendingQuestion, "id" | "header">> {
  id?: string | undefined;
  header?: string | undefined;
  question: string;
}

/** The questions with all that is said of each; one without an id of its own is called by its place. */
export function asQuestions(asked: readonly AskedQuestion[]): PendingQuestion[] {
  const ids = asked.map(({ id }) => id);
  return asked.map(({ id, header, options = [], ...one }, at) => ({
    id: id === undefined || id === "" || ids.indexOf(id) !== ids.lastIndexOf(id) ? String(at + 1) : id,
    ...(header === undefined || header === "" ? {} : { header }),
    question: one.question,
    options,
    multiSelect: one.multiSelect ?? false,
    freeText: one.freeText ?? true,
    required: one.required ?? true,
  }));
}

export interface FittedAnswers {
  /** For each question what was answered, as the ids of its options where it is one of them; empty for no answer. */
  answers: string[][];
  /** What does not fit, each for a person; none when all is well. */
  wrong: string[];
}

/** Which answers are whose. */
export function fitAnswers(questions: readonly PendingQuestion[], given: GivenAnswers): FittedAnswers {
  const names = namesOf(questions);
  const answers = questions.map((): string[] => []);
  const wrong: string[] = [];
  for (const [name, value] of Object.entries(given)) {
    const at = names.get(name);
    const question = at === undefined ? undefined : questions[at];
    if (at === undefined || question === undefined) wrong.push(`${quoted(name)} is none of its questions`);
    else if (answers[at]?.length !== 0) wrong.push(`${quoted(question.question)} is answered twice`);
    else answers[at] = chosen(question, value, wrong);
  }
  for (const [at, { required, question }] of questions.entries()) {
    if (required && answers[at]?.length === 0) wrong.push(`${quoted(question)} has no answer`);
  }
  return { answers, wrong };
}

/** By what each question may be called: its id before the texts, and these before its place; what two share means none. */
function namesOf(questions: readonly PendingQuestion[]): Map<string, number> {
  const known = new Map<string, number>();
  const kinds = [
    questions.map(({ id }) => id),
    questions.map(({ question }) => question),
    questions.map(({ header }) => header),
    questions.map((_, at) => String(at + 1)),
  ];
  for (const kind of kinds) {
    const own = kind.filter((name) => kind.indexOf(name) === kind.lastIndexOf(name));
    for (const name of own) if (name !== undefined && !known.has(name)) known.set(name, kind.indexOf(name));
  }
  return known;
}

function chosen(question: PendingQuestion, value: string | string[], wrong: string[]): string[] {
  const { options, multiSelect, freeText } = question;
  // Nothing chosen is no answer; an empty text is one only where texts are what is wanted.
  const values = [value].flat().filter((one) => one.trim() !== "" || options.length === 0);
  if (values.length > 1 && !multiSelect) wrong.push(`${quoted(question.question)} takes one answer`);
  return values.map((one) => {
    const option = options.find(({ id }) => id === one) ?? options.find(({ label }) => sameWord(label, one));
    if (option === undefined && !freeText && options.length > 0) {
      const ids = options.map(({ id }) => quoted(id)).join(", ");
      wrong.push(`${quoted(question.question)} takes ${ids}, not ${quoted(one)}`);
    }
    return option?.id ?? one;
  });
}

const sameWord = (one: string, other: string): boolean => one.trim().toLowerCase() === other.trim().toLowerCase();

/** A question for a person, with the key of its answer. */
export const nameOf = ({ id, question }: PendingQuestion): string =>
  id === question ? quoted(id) : `${quoted(id)} (${question.slice(0, longest)})`;

const longest = 120;

const quoted = (text: string): string => JSON.stringify(text.length > longest ? `${text.slice(0, longest)}…` : text);
