import type { JournalRecord } from "../journal.ts";
import type { Delivery, Reading } from "../provider.ts";
import type { Answer, Pending, Update } from "../session.ts";
import { finish, readLog, rest } from "./claude-code-log.ts";
import { decisionOf, denial, pendingOf } from "./claude-code-pending.ts";
import { hashOf, type TerminalState } from "./claude-code-state.ts";
import { readStatusFile } from "./claude-code-status-file.ts";
import { asRecord, asText } from "./json.ts";

/*
 * Claude Code in a terminal. Its hooks (bridges/claude-hook.ts) say what it does, its session log what was said. A hook for a
 * permission waits: the answer that we give it counts as well as the person's at the terminal, whoever is first.
 */

type Json = Record<string, unknown>;
type TerminalReading = Reading<TerminalState>;
type Told = { state: TerminalState; delivery: Delivery };

const nothing = (state: TerminalState): TerminalReading => ({ state, updates: [] });

/** What a record means. */
export function readTerminal(state: TerminalState, record: JournalRecord): TerminalReading {
  if (record.from === "hook") return readHook({ ...state, hooks: true }, asRecord(record.data), record);
  if (record.from === "file") {
    const isLog = record.path.endsWith(".jsonl");
    return isLog ? readLog(state, record.line, record.at) : readStatusFile(state, record.line);
  }
  if (record.from === "stdin") return readGiven(state, record);
  if (record.from === "stderr" || record.from === "stdout") {
    return { state, updates: [{ type: "output", text: `${record.line}\n` }] };
  }
  if (record.from === "exited")
    return { state: { ...state, asked: {}, tools: {}, busy: false }, updates: resolveAll(state) };
  return nothing(state);
}

const resolveAll = ({ asked }: TerminalState): Update[] =>
  Object.keys(asked).map((pendingId) => ({ type: "resolved", pendingId }));

/** How long after it says that it rests an interrupted prompt may come back into the box, in ms: nothing tells when it has. */
const putBackMs = 700;

/** Most that may stand in the input box after an interrupt, in lines. */
const maxBoxLines = 50;

/**
 * Input is pasted, after the box was emptied of what an interrupt put back. While it asks, a paste would press keys in the
 * dialog: then the input is the answer, a refusal that says what to do instead.
 */
export function giveInput(state: TerminalState, text: string): Told {
  const [wait] = Object.keys(state.asked);
  if (wait !== undefined) {
    const { [wait]: _, ...asked } = state.asked;
    const after = { ...state, asked, answering: [...state.answering, { wait, text }] };
    return { state: after, delivery: { wait, answer: decided(denial(text)) } };
  }
  // The key empties a line, and pressed again joins it to the one before.
  const first = Array.from({ length: 2 * Math.min(state.boxLines, maxBoxLines) - 1 }, () => "C-u");
  const { putBack, ...left } = state;
  const pause = putBack === true ? { pauseMs: putBackMs } : {};
  return { state: { ...left, boxLines: 1 }, delivery: { paste: text, first, ...pause } };
}

const decided = (decision: Json): Json => ({ hookSpecificOutput: { hookEventName: "PermissionRequest", decision } });

/** The answer goes to the hook that waits for it; undefined when none does any more. */
export function giveAnswer(state: TerminalState, pending: Pending, answer: Answer): Told | undefined {
  const decision = Object.hasOwn(state.asked, pending.id) ? decisionOf(pending, answer) : undefined;
  if (decision === undefined) return undefined;
  const { [pending.id]: _, ...asked } = state.asked;
  const after = { ...state, asked, answering: [...state.answering, { wait: pending.id, text: "" }] };
  return { state: after, delivery: { wait: pending.id, answer: decided(decision) } };
}

/** The hook did not wait any more: its answer is none. */
export const takeBackAnswer = (state: TerminalState, delivery: Delivery): TerminalState =>
  "wait" in delivery ? { ...state, answering: state.answering.filter(({ wait }) => wait !== delivery.wait) } : state;

/** Escape ends a turn, also one that waits for a permission. */
export const giveInterrupt = (state: TerminalState): Told => ({
  state: { ...state, interrupted: state.busy },
  delivery: { keys: ["Escape"] },
});

/** An answer that we gave has reached it. */
function readGiven(state: TerminalState, record: Extract<JournalRecord, { from: "stdin" }>): TerminalReading {
  const [answer, ...answering] = state.answering;
  if (answer === undefined || !record.line.startsWith('{"hookSpecificOutput"')) return nothing(state);
  const updates: Update[] = [{ type: "resolved", pendingId: answer.wait }];
  const { wait, text } = answer;
  const message = { id: `answer-${wait}`, at: record.at, role: "user" as const, text, finishReason: null };
  if (text !== "") updates.push({ type: "message", message });
  return { state: { ...state, answering }, updates };
}

type HookReader = (state: TerminalState, hook: Json, record: { n: number; at: number }) => TerminalReading;

function readHook(state: TerminalState, hook: Json, record: { n: number; at: number }): TerminalReading {
  const name = asText(hook["hook_event_name"]) ?? "";
  const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
  return reader?.(state, hook, record) ?? { state, updates: [{ type: "unknown", raw: hook }] };
}

const status = (to: "processing" | "idle" | "error", reason?: string): Update => ({
  type: "status",
  status: to,
  source: "hook",
  ...(reason === undefined ? {} : { reason }),
});

const readers: Record<string, HookReader> = {
  SessionStart: (state, hook) => {
    const id = asText(hook["session_id"]) ?? state.session;
    const file = asText(hook["transcript_path"]);
    const who: Update = { type: "provider_session", id, ...(file === undefined ? {} : { file }) };
    // With a task its first prompt follows; begun anew (/clear, /compact) it waits for one.
    const rests = !state.hasTask || hook["source"] === "clear" || hook["source"] === "compact";
    return { state: { ...state, session: id }, updates: rests && !state.busy ? [who, status("idle")] : [who] };
  },
  UserPromptSubmit: submitted,
  PermissionRequest: asks,
  PermissionSettled: (state, hook) => {
    const wait = asText(hook["wait"]) ?? "";
    if (!Object.hasOwn(state.asked, wait)) return nothing(state);
    const { [wait]: _, ...asked } = state.asked;
    return { state: { ...state, asked }, updates: [{ type: "resolved", pendingId: wait }, status("processing")] };
  },
  Notification: (state, hook) => {
    // Of a prompt before the one that is at work it is too late to say anything.
    const isNow = hook["prompt_id"] === undefined || hook["prompt_id"] === state.prompt;
    if (hook["notification_type"] !== "idle_prompt" || !isNow || !state.busy) return nothing(state);
    return finish(state);
  },
  Stop: stopped,
  StopFailure: (state, hook) => {
    const message = asText(hook["last_assistant_message"]) || asText(hook["error"]) || "The model could not be asked.";
    if (state.failure === message) return nothing(state);
    return rest({ ...state, failure: message }, [{ type: "error", message }], status("error", message));
  },
  SessionEnd: nothing,
};

function submitted(state: TerminalState, hook: Json, { at }: { at: number }): TerminalReading {
  const prompt = asText(hook["prompt_id"]);
  const boxLines = (asText(hook["prompt"]) ?? "").split("\n").length;
  // In the queue it carries the id of the turn that it has to wait for.
  if (state.busy && prompt === state.prompt) return nothing({ ...state, queued: state.queued + 1, boxLines });
  // The turn before, if its end is still waited for, is over.
  const before = state.stopped === undefined ? { state, updates: resolveAll(state) } : finish(state);
  const { failure: _, said: __, putBack: ___, ...left } = before.state;
  const turn = { busy: true, interrupted: false, queued: 0, next: false, since: at, boxLines };
  const begun = { ...left, ...turn, asked: {}, answering: [], tools: {}, hashes: {} };
  return {
    state: prompt === undefined ? begun : { ...begun, prompt },
    updates: [...before.updates, status("processing")],
  };
}

function asks(state: TerminalState, hook: Json, { n, at }: { n: number; at: number }): TerminalReading {
  const wait = asText(hook["wait"]) ?? `record-${n}`;
  const [tool, input] = [asText(hook["tool_name"]) ?? "", hook["tool_input"]];
  const pending = pendingOf(wait, { tool, input, suggestions: hook["permission_suggestions"] });
  const asked = { ...state.asked, [wait]: { hash: hashOf([tool, input]), at } };
  return { state: { ...state, asked }, updates: [{ type: "pending", pending }] };
}

/**
 * The turn is over. Who hears that wants its last message too, which the session log tells a moment later; when it does not,
 * the program says after a minute that it is at rest.
 */
function stopped(state: TerminalState, hook: Json, { n, at }: { n: number; at: number }): TerminalReading {
  const text = asText(hook["last_assistant_message"]) ?? "";
  const turn = turnOf(state, asText(hook["prompt_id"]));
  const over = { ...turn, stopped: { id: `stop-${asText(hook["prompt_id"]) ?? n}`, at, text } };
  // What was submitted meanwhile was worked in, or is the next turn: the session log knows.
  if (turn.queued > 0) return nothing(turn);
  return text === "" || text === turn.said ? finish(over) : nothing(over);
}

/** A prompt of the queue has an id of its own once it is at work, which the hook for its end tells first. */
function turnOf(state: TerminalState, prompt: string | undefined): TerminalState {
  if (prompt === undefined || state.prompt === undefined || prompt === state.prompt) return state;
  return { ...state, prompt, queued: state.next ? state.queued : Math.max(0, state.queued - 1), next: false };
}
