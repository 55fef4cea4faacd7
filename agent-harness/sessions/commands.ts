import { randomUUID } from "node:crypto";
import { HarnessError } from "../shared/errors.ts";
import type { Command, Draft, Sending } from "./memory.ts";
import type { Provider, Way } from "./provider.ts";
import { fitAnswers, type GivenAnswers, nameOf } from "./questions.ts";
import { lastKey } from "./reading.ts";
import { type Answer, isTerminal, type Pending, type PendingQuestion } from "./session.ts";
import { changeStatus, emit, resolve } from "./transitions.ts";

/*
 * What a session is told. Whoever is asked (any daemon) notes it in the session's memory; the daemon that has the session
 * delivers it when it has read all that the program said so far.
 */

/** Notes new input; a session that has ended is started again with it. The status is not "at rest" any more from here on. */
export function noteInput(draft: Draft, provider: Provider, text: string, now: number): void {
  const { memory } = draft;
  emit(draft, "input_sent", { text });
  if (draft.status === "exited") {
    requireResumable(draft, provider);
    delete memory.ending;
    memory.launching = { run: randomUUID(), task: text, resume: draft.providerSessionId ?? "" };
    memory.startedAt = now;
    changeStatus(draft, { status: "starting", source: "manager", at: now });
    return;
  }
  memory.commands.push({ key: commandKey(), kind: "input", text });
  if (isTerminal(draft.status)) changeStatus(draft, { status: "processing", source: "manager", at: now });
}

/** Whether its program can be gone on with once it has ended. */
export const isResumable = (draft: Pick<Draft, "providerSessionId">, { capabilities }: Provider): boolean =>
  capabilities.resume && draft.providerSessionId !== undefined;

function requireResumable(draft: Draft, provider: Provider): void {
  if (isResumable(draft, provider)) return;
  const why = provider.capabilities.resume
    ? "it ended before it had a session of its own"
    : `${provider.name} cannot resume`;
  throw new HarnessError(
    "AGENT_EXITED",
    `The session ${draft.id} has ended (${draft.reason ?? "no reason known"}), and ${why}.`,
    {
      hint: "Create a new one.",
    },
  );
}

/** Notes the answer to what it asks; PENDING_STALE when it does not wait for that, or this way of running cannot answer. */
export function noteAnswer(draft: Draft, way: Way, pendingId: string, answer: Answer, now: number): void {
  const { memory } = draft;
  const pending = memory.pendings.find(({ id }) => id === pendingId);
  if (pending === undefined) throw stale(draft, pendingId);
  requireFitting(pending, answer);
  if (way.respond(memory.reader, pending, answer) === undefined) throw stale(draft, pendingId);
  memory.commands.push({ key: commandKey(), kind: "answer", pending, answer });
  resolve(draft, pendingId, { source: "manager", at: now }, "respond");
}

function stale(draft: Draft, pendingId: string): HarnessError {
  const [first] = draft.memory.pendings;
  const now = first === undefined ? "nothing" : first.id;
  return new HarnessError(
    "PENDING_STALE",
    `The session ${draft.id} does not wait for ${pendingId}; it waits for ${now}.`,
    {
      hint: "Get the session and answer what its `pending` says.",
      context: { pendingId, pending: first?.id ?? null },
    },
  );
}

/** INVALID_REQUEST for an answer that the program would take for none: one of the wrong kind, or that fits no question. */
function requireFitting({ kind, id, questions }: Pending, answer: Answer): void {
  const given = "decision" in answer ? "permission" : "question";
  if (given === kind) {
    if ("answers" in answer) requireAnswers(id, questions, answer.answers);
    return;
  }
  const keys = questions === undefined ? "" : `: ${questions.map(nameOf).join(", ")}`;
  throw new HarnessError(
    "INVALID_REQUEST",
    `${id} is a ${kind}; ${given === "question" ? "answers were" : "a decision was"} given.`,
    {
      hint:
        kind === "permission" ? "Give a decision: allow, allow_always or deny." : `Give answers, by question${keys}.`,
    },
  );
}

/** What was asked before questions had keys is answered as it always was. */
function requireAnswers(id: string, questions: readonly PendingQuestion[] | undefined, given: GivenAnswers): void {
  const wrong = questions === undefined ? [] : fitAnswers(questions, given).wrong;
  if (questions === undefined || wrong.length === 0) return;
  throw new HarnessError("INVALID_REQUEST", `The answers do not fit ${id}: ${wrong.join("; ")}.`, {
    hint: `Its questions, by the keys of their answers: ${questions.map(nameOf).join(", ")}.`,
    context: { pendingId: id, questions: questions.map((one) => one.id) },
  });
}

/** Notes that the turn is to end; at rest there is none. */
export function noteInterrupt(draft: Draft, limitMs: number, now: number): void {
  const { memory } = draft;
  if ((isTerminal(draft.status) && memory.stalled !== true) || memory.commands.some(({ kind }) => kind === "interrupt"))
    return;
  memory.commands.push({ key: commandKey(), kind: "interrupt" });
  memory.interruptBy = now + limitMs;
  emit(draft, "abort_sent", {});
}

/** Decides how the next command is delivered; undefined when there is nothing to deliver now. */
export function decide(draft: Draft, way: Way): Sending | undefined {
  const { memory } = draft;
  if (memory.sending !== undefined) return memory.sending;
  const [command] = memory.commands;
  // Before its first sign of life nobody knows whether it takes input.
  if (command === undefined || (draft.status === "starting" && command.kind === "input")) return;
  memory.commands.shift();
  const said = say(draft, way, command);
  if (said === undefined) {
    cannot(draft, command);
    return;
  }
  memory.reader = said.state;
  const { delivery } = said;
  if ("lines" in delivery && delivery.lines.length === 0) return;
  const text = command.kind === "input" ? { text: command.text } : {};
  const sending: Sending = { key: command.key, kind: command.kind, delivery, ...text };
  memory.sending = sending;
  if (command.kind === "input") memory.awaiting = lastKey(sending);
  return sending;
}

function say({ memory }: Draft, way: Way, command: Command): ReturnType<Way["respond"]> {
  if (command.kind === "input") return way.input(memory.reader, command.text);
  if (command.kind === "answer") return way.respond(memory.reader, command.pending, command.answer);
  return way.interrupt(memory.reader);
}

/**
 * The answer that is being given came too late: somebody else has answered, or what asked is gone. Input that was given as an
 * answer is input all the same, and comes next.
 */
export function noteLate(draft: Draft, way: Way): void {
  const { memory } = draft;
  const { sending } = memory;
  if (sending === undefined) return;
  delete memory.sending;
  delete memory.awaiting;
  memory.reader = way.undelivered?.(memory.reader, sending.delivery) ?? memory.reader;
  if (sending.text !== undefined) memory.commands.unshift({ key: commandKey(), kind: "input", text: sending.text });
  else emit(draft, "error", { message: "The answer came too late: it was answered elsewhere." });
}

function cannot(draft: Draft, command: Command): void {
  if (command.kind === "interrupt") draft.memory.ending = "aborted";
  else emit(draft, "error", { message: `The ${command.kind} could not be given to ${draft.provider}.` });
}

const commandKey = (): string => `c-${randomUUID()}`;
