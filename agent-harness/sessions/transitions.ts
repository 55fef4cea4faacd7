import type { Draft } from "./memory.ts";
import { isTerminal, type Pending, type SessionStatus, type StatusSource } from "./session.ts";
import { deliveryIdOf } from "./webhook-delivery.ts";

/* How the status of a session changes, and the events that say so. The only code that sets it. */

/** A change of the status. */
export interface Change {
  status: SessionStatus;
  source: StatusSource;
  reason?: string | undefined;
  /** When, in ms since 1970. */
  at: number;
}

/** Sets the status and says so. Coming to rest ends what was asked, and has to be announced; leaving it announces it first. */
export function changeStatus(draft: Draft, { status, source, reason, at }: Change): void {
  const { memory } = draft;
  const from = draft.status;
  if (from === status) {
    if (reason !== undefined) draft.reason = reason;
    return;
  }
  if (memory.finalizing !== undefined) finalize(draft, at);
  draft.status = status;
  draft.reason = reason;
  draft.lastActivity = new Date(Math.max(at, draft.lastActivity.getTime()));
  emit(draft, "status_changed", { from, to: status, source, ...(reason === undefined ? {} : { reason }) });
  if (isTerminal(status)) rest(draft, { status, at });
  else if (isTerminal(from) || from === "starting") beginTurn(draft, at);
}

function rest(draft: Draft, { status, at }: Pick<Change, "status" | "at">): void {
  const { memory } = draft;
  for (const { id } of memory.pendings) emit(draft, "pending_resolved", { pendingId: id, by: "end_of_turn" });
  memory.pendings = [];
  memory.tools = {};
  memory.finalizing = { status, observedAt: at };
  delete memory.interruptBy;
  if (status === "idle") memory.revivals = 0;
}

function beginTurn(draft: Draft, at: number): void {
  draft.memory.turnAt = at;
  delete draft.memory.last;
  delete draft.memory.stalled;
}

/** Announces that the session has come to rest, with its last message; webhooks are made from this event. */
export function finalize(draft: Draft, at: number): void {
  const { finalizing, last } = draft.memory;
  if (finalizing === undefined) return;
  delete draft.memory.finalizing;
  const { status, observedAt } = finalizing;
  const terminalObservedAt = new Date(observedAt).toISOString();
  emit(draft, "agent_terminal_finalized", {
    provider: draft.provider,
    status,
    finalizedAt: new Date(at).toISOString(),
    terminalObservedAt,
    reason: draft.reason ?? null,
    lastMessage: last?.text ?? null,
    messageSource: last?.source ?? null,
    // The same for the same end of the same turn, however often it is worked out.
    deliveryId: deliveryIdOf({ project: draft.project, agentId: draft.id, status, observedAt: terminalObservedAt }),
  });
}

/** It asks. Asked again with the same id, or after the answer was given, nothing changes. */
export function ask(draft: Draft, pending: Pending, source: StatusSource, at: number): void {
  const { memory } = draft;
  if (draft.status === "exited") return;
  if (memory.answered.includes(pending.id) || memory.pendings.some(({ id }) => id === pending.id)) return;
  memory.pendings.push(pending);
  const { id: pendingId, title, options, questions, input } = pending;
  if (pending.kind === "permission")
    emit(draft, "permission_requested", { description: title, pendingId, options, input });
  else emit(draft, "question_asked", { question: title, pendingId, options, questions, input });
  changeStatus(draft, { status: "waiting_input", source, at });
}

/** It does not ask any more; with nothing else to wait for it works on. */
export function resolve(
  draft: Draft,
  pendingId: string,
  change: Omit<Change, "status">,
  by: "respond" | "program",
): void {
  const { memory } = draft;
  memory.answered = [...memory.answered.filter((id) => id !== pendingId), pendingId].slice(-100);
  const left = memory.pendings.filter(({ id }) => id !== pendingId);
  if (left.length === memory.pendings.length) return;
  memory.pendings = left;
  emit(draft, "pending_resolved", { pendingId, by });
  if (left.length === 0 && draft.status === "waiting_input") changeStatus(draft, { ...change, status: "processing" });
}

/** The most that an event holds of a text: an event is news, the whole is in the journal. */
const maxEventText = 64 * 1024;

/** Notes an event; texts that are too long are cut, and it says so. */
export function emit(draft: Draft, type: string, data: Record<string, unknown>): void {
  const entries = Object.entries(data).map(([name, value]) => [name, cut(value)] as const);
  const truncated = entries.some(([name, value]) => value !== data[name]);
  draft.events.push({ type, data: { ...Object.fromEntries(entries), ...(truncated ? { truncated: true } : {}) } });
}

function cut(value: unknown): unknown {
  const text = typeof value === "object" && value !== null ? JSON.stringify(value) : value;
  return typeof text === "string" && text.length > maxEventText ? `${text.slice(0, maxEventText)}…` : value;
}
