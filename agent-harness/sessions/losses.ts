import { randomUUID } from "node:crypto";
import { isResumable } from "./commands.ts";
import type { Draft } from "./memory.ts";
import type { Provider } from "./provider.ts";
import { inputOwed } from "./reading.ts";
import { isTerminal } from "./session.ts";
import { changeStatus, emit, finalize } from "./transitions.ts";

/*
 * What becomes of a session whose program has ended: gone on with when something is owed to it, else left as exited with the
 * reason. Nothing stays as if it worked.
 */

/** How often a turn is taken up again whose program was lost: one that takes its keeper down with it must not do so for ever. */
const maxRevivals = 1;

/** What a program is told that was lost in the middle of a turn. */
const goOn =
  "Your program was stopped in the middle of the work, by something outside of it, and was started again. Look at what is done already, then go on from there.";

/** The keeper is gone and has not said how the program ended: killed, or the machine went down. */
export function noteLoss(draft: Draft, provider: Provider, now: number): void {
  const { memory } = draft;
  const works = !isTerminal(draft.status);
  const lost = works ? `its keeper was lost while ${draft.status}` : "its keeper is gone";
  const isAborted = works && memory.interruptBy !== undefined;
  const reason = memory.ending ?? (isAborted ? `aborted: ${lost}` : lost);
  const midTurn = works && !isAborted && memory.ending === undefined;
  emit(draft, "agent_exited", { exitCode: null, signal: null, reason });
  if (midTurn && memory.revivals < maxRevivals && isResumable(draft, provider)) {
    memory.revivals += 1;
    const task = takeOwedInput(draft) ?? goOn;
    restart(draft, task, `resumed: ${reason}`, now);
    return;
  }
  delete memory.ending;
  delete memory.awaiting;
  changeStatus(draft, { status: "exited", source: "keeper", reason, at: now });
}

/** It has ended, and input came that it did not get: it is started again with that, or the input is given up by name. */
export function noteOwedInput(draft: Draft, provider: Provider, now: number): void {
  const task = takeOwedInput(draft);
  if (task === undefined) return;
  if (isResumable(draft, provider)) restart(draft, task, `resumed: ${draft.reason ?? "new input"}`, now);
  else
    emit(draft, "error", {
      message: `The session has ended before it got the input ${JSON.stringify(task.slice(0, 200))}.`,
    });
}

/** Whether something is left to be told to a program that has ended. */
export const hasLeftovers = (draft: Pick<Draft, "memory">): boolean =>
  inputOwed(draft) || draft.memory.commands.length > 0 || draft.memory.sending !== undefined;

function takeOwedInput({ memory }: Draft): string | undefined {
  const texts = memory.sending?.text === undefined ? [] : [memory.sending.text];
  for (const command of memory.commands) if (command.kind === "input") texts.push(command.text);
  memory.commands = [];
  delete memory.sending;
  delete memory.awaiting;
  return texts.length === 0 ? undefined : texts.join("\n\n");
}

function restart(draft: Draft, task: string, reason: string, now: number): void {
  const { memory } = draft;
  for (const { id } of memory.pendings) emit(draft, "pending_resolved", { pendingId: id, by: "end_of_turn" });
  memory.pendings = [];
  delete memory.ending;
  memory.launching = { run: randomUUID(), task, resume: draft.providerSessionId ?? "" };
  memory.startedAt = now;
  changeStatus(draft, { status: "starting", source: "manager", reason, at: now });
}

/** The keeper lives and does not take what is to be said: given up by name, so that nobody waits for what will not come. */
export function noteRefusal(draft: Draft, now: number): void {
  const { memory } = draft;
  const { sending } = memory;
  if (sending === undefined) return;
  delete memory.sending;
  delete memory.awaiting;
  const message = `The ${sending.kind} could not be given to the program.`;
  emit(draft, "error", { message });
  if (sending.kind === "input") changeStatus(draft, { status: "error", source: "keeper", reason: message, at: now });
}

/** The keeper lives, and the program does not get what it needs to go on: it is ended, so that it can be started anew. */
export function noteDeaf(draft: Draft): void {
  emit(draft, "error", { message: "The program takes no line any more, and is ended." });
  draft.memory.ending ??= "it took no line any more";
}

/** It could not be started. */
export function noteFailedLaunch(draft: Draft, reason: string, now: number): void {
  delete draft.memory.launching;
  emit(draft, "error", { message: reason });
  changeStatus(draft, { status: "exited", source: "manager", reason, at: now });
  emit(draft, "agent_exited", { exitCode: null, signal: null, reason });
  finalize(draft, now);
}

/** It is about to be gone for good. */
export function noteDeletion(draft: Draft, now: number): void {
  delete draft.memory.launching;
  if (draft.status !== "exited") {
    changeStatus(draft, { status: "exited", source: "manager", reason: "deleted", at: now });
    emit(draft, "agent_exited", { exitCode: null, signal: null, reason: "deleted" });
  }
  finalize(draft, now);
  emit(draft, "agent_deleted", {});
}
