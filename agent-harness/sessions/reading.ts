import { errorText } from "../shared/errors.ts";
import type { JournalRecord } from "./journal.ts";
import { type Draft, type Memory, type Sending, sourceOf } from "./memory.ts";
import type { Reading, Way } from "./provider.ts";
import { isTerminal, type SessionMessage, type Update } from "./session.ts";
import { ask, changeStatus, emit, resolve } from "./transitions.ts";

/* What a record of the journal changes in a session. Pure: the same draft and record give the same, whoever reads. */

/** Works one record into the draft. */
export function readRecord(draft: Draft, way: Way, record: JournalRecord): void {
  const { memory } = draft;
  const { state, updates, writes = [] } = readSafely(draft, way, record);
  const isNews = state !== memory.reader || updates.length > 0 || writes.length > 0;
  // A watched file that says nothing of this session is another one's.
  if (record.from === "file" && record.end === undefined && !isNews) return;
  memory.recordAt = record.at;
  draft.lastActivity = new Date(Math.max(record.at, draft.lastActivity.getTime()));
  if (record.from === "started") delete memory.launching;
  if (record.from === "stdin") given(draft, record.key);
  if (record.from === "stderr" && draft.status === "starting") complain(memory, record.line);
  if (memory.stalled === true && record.from !== "exited" && record.from !== "stdin") revive(draft, record.at);
  memory.reader = state;
  for (const update of updates) apply(draft, update, record);
  for (const [at, line] of writes.entries()) draft.writes.push({ key: `${record.n}:${at}`, line });
  if (record.from === "exited") exit(draft, record);
}

/** The program has got a line: what was sent with it is done when it was the last one. */
function given({ memory }: Draft, key: string): void {
  if (memory.awaiting === key) delete memory.awaiting;
  const { sending } = memory;
  if (sending !== undefined && lastKey(sending) === key) delete memory.sending;
}

/** The key under which the keeper journals the last part of a command. */
export const lastKey = ({ key, delivery }: Sending): string =>
  "lines" in delivery ? `${key}.${delivery.lines.length - 1}` : key;

/** A driver that fails on a record loses that record's meaning, not the session. */
function readSafely(draft: Draft, way: Way, record: JournalRecord): Reading {
  try {
    return way.read(draft.memory.reader, record);
  } catch (error) {
    const message = `The driver of ${draft.provider} failed on record ${record.n}: ${errorText(error)}`;
    return { state: draft.memory.reader, updates: [{ type: "error", message }] };
  }
}

function revive(draft: Draft, at: number): void {
  delete draft.memory.stalled;
  changeStatus(draft, { status: "processing", source: "keeper", reason: "it speaks again", at });
}

function apply(draft: Draft, update: Update, record: JournalRecord): void {
  const { at } = record;
  const source = sourceOf(record) === "hook" ? "hook" : "protocol";
  if (update.type === "status") applyStatus(draft, update, at);
  else if (update.type === "pending") ask(draft, update.pending, source, at);
  else if (update.type === "resolved") resolve(draft, update.pendingId, { source, at }, "program");
  else if (update.type === "message") addMessage(draft, update.message, sourceOf(record));
  else if (update.type === "provider_session") {
    draft.providerSessionId = update.id;
    if (update.file !== undefined) draft.providerSessionFile = update.file;
  } else tell(draft, update);
}

/** What only becomes an event; tools at work are counted, since a tool may be silent for long. */
function tell(
  draft: Draft,
  update: Extract<Update, { type: "output" | "tool_use" | "tool_result" | "error" | "unknown" }>,
): void {
  if (update.type === "tool_use") draft.memory.tools[update.id] = update.tool;
  if (update.type === "tool_result") delete draft.memory.tools[update.id];
  if (update.type === "unknown") draft.memory.unknown = (draft.memory.unknown ?? 0) + 1;
  const { type, ...data } = update;
  emit(draft, type, data);
}

function applyStatus(draft: Draft, update: Extract<Update, { type: "status" }>, at: number): void {
  const { memory } = draft;
  const { status, source, reason } = update;
  // A program that has ended says nothing about itself any more; its session log may still be read.
  if (draft.status === "exited") return;
  // A failed turn stays failed until the next one begins, although the program is at rest.
  if (status === "idle" && draft.status === "error") return;
  // It works on beside what it asks, and still waits for the answer.
  if (status === "processing" && memory.pendings.length > 0) return;
  // At rest from the turn before: the input that it has not seen yet begins another one.
  if ((status === "idle" || status === "error") && inputOwed(draft)) return;
  changeStatus(draft, { status, source, reason, at });
}

/** Whether input was accepted that the program has not got yet, as far as the journal was read. */
export function inputOwed({ memory }: Pick<Draft, "memory">): boolean {
  const { awaiting, sending, commands } = memory;
  return awaiting !== undefined || sending?.kind === "input" || commands.some(({ kind }) => kind === "input");
}

function addMessage(draft: Draft, message: SessionMessage, source: string): void {
  draft.messages.push({ ...message, source });
  if (message.role === "assistant" && message.text !== "") draft.memory.last = { text: message.text, source };
}

/** The most that is kept of what a program says before it has begun, in characters. */
const mostComplaint = 500;

function complain(memory: Memory, line: string): void {
  memory.complaint = `${memory.complaint ?? ""}${line}\n`.slice(-mostComplaint);
}

/** Why a program ended before it had begun, in its own words. */
function whyEarly(complaint: string | undefined, screen: string | undefined): string {
  if (complaint !== undefined) return `; it said: ${complaint.trim()}`;
  return screen === undefined ? "" : `; its terminal showed: ${screen.trim().slice(-mostComplaint)}`;
}

function exit(draft: Draft, { code, signal, at, screen }: Extract<JournalRecord, { from: "exited" }>): void {
  const { memory } = draft;
  const ended = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const early = draft.status === "starting" ? whyEarly(memory.complaint, screen) : "";
  const midway = isTerminal(draft.status) || code === 0 ? ended : `${ended} while ${draft.status}`;
  const reason = memory.ending ?? `${midway}${early}`;
  delete memory.awaiting;
  delete memory.ending;
  delete memory.stalled;
  changeStatus(draft, { status: "exited", source: "keeper", reason, at });
  emit(draft, "agent_exited", { exitCode: code, signal, reason });
}
