import type { Update } from "../session.ts";
import { assistantUpdates, textOf, timeOf, toolResults } from "./claude-code-message.ts";
import { hashOf, type TerminalState } from "./claude-code-state.ts";
import { asList, asRecord, asText, parseLine } from "./json.ts";

/*
 * The session log of Claude Code in a terminal: what is said, and the second witness of what it does. Interrupts and commands
 * of the terminal itself call no hook, so the log alone tells of them.
 */

type Json = Record<string, unknown>;
type LogReading = { state: TerminalState; updates: Update[] };

const nothing = (state: TerminalState): LogReading => ({ state, updates: [] });

/** What a line of the session log means. */
export function readLog(state: TerminalState, text: string, at: number): LogReading {
  const line = parseLine(text);
  // Of a sub-agent there is a log of its own; what it does is told by the tool that started it.
  if (line === undefined || line["isSidechain"] === true) return nothing(state);
  const type = asText(line["type"]) ?? "";
  const reader = Object.hasOwn(readers, type) ? readers[type] : undefined;
  return reader?.(state, line, at) ?? nothing(state);
}

/** The log comes later than the hooks: what it tells of a turn before says nothing of the one that is at work. */
const isPast = (state: TerminalState, line: Json, at: number): boolean => timeOf(line, at) <= state.since;

/** Other types are the program's own affair: snapshots, modes, what it asked the model. */
const readers: Record<string, (state: TerminalState, line: Json, at: number) => LogReading> = {
  user: readUser,
  assistant: readAssistant,
  system: readSystem,
  attachment: (state, line, at) => {
    const { type, prompt, humanTurn, source_uuid: id } = asRecord(line["attachment"]);
    const isSaid = type === "queued_command" && humanTurn === true && typeof prompt === "string";
    return isSaid ? said(state, { ...line, uuid: id ?? line["uuid"] }, prompt, at) : nothing(state);
  },
  "queue-operation": (state, line, at) => {
    const { operation } = line;
    if (isPast(state, line, at)) return nothing(state);
    // A prompt that comes at the very end of a turn goes through the queue too: it is the one that is at work.
    if (operation === "dequeue" && state.queued > 0) return nothing({ ...state, queued: state.queued - 1, next: true });
    if (operation === "remove") return nothing({ ...state, queued: Math.max(0, state.queued - 1) });
    return nothing(operation === "popAll" ? { ...state, queued: 0 } : state);
  },
};

/** What the program writes in the person's name. */
const notSaid = /^<(?:command-|local-command-|bash-|system-reminder)/;

function readUser(state: TerminalState, line: Json, at: number): LogReading {
  const content = asRecord(line["message"])["content"];
  const results = toolResults(state.tools, content);
  if (results.ended.length > 0) return endTools({ ...state, tools: results.tools }, results);
  const text = textOf(content);
  const past = isPast(state, line, at);
  if (text.startsWith("[Request interrupted by user")) return past ? nothing(state) : interrupted(state);
  if (text.startsWith("<local-command-stdout>")) return past ? nothing(state) : atRest(state);
  if (text === "" || line["isMeta"] === true || line["isCompactSummary"] === true || notSaid.test(text)) {
    return nothing(state);
  }
  const { state: after, updates } = said(state, line, text, at);
  if (state.hooks) return { state: after, updates };
  return { state: { ...after, busy: true }, updates: [...updates, status("processing")] };
}

const status = (to: "processing" | "idle" | "error", reason?: string): Update => ({
  type: "status",
  status: to,
  source: "session_log",
  ...(reason === undefined ? {} : { reason }),
});

function said(state: TerminalState, line: Json, text: string, at: number): LogReading {
  const id = asText(line["uuid"]) ?? `at-${at}`;
  const message = { id, at: timeOf(line, at), role: "user" as const, text, finishReason: null };
  return { state, updates: [{ type: "message", message }] };
}

/** A tool has ended, so nobody waits for a permission to use it, whoever gave it. */
function endTools(state: TerminalState, { updates, ended }: { updates: Update[]; ended: string[] }): LogReading {
  const over = ended.map((id) => state.hashes[id]).filter((hash) => hash !== undefined);
  const waits = Object.entries(state.asked).filter(([, { hash }]) => over.includes(hash));
  const resolved = waits.map(([pendingId]): Update => ({ type: "resolved", pendingId }));
  return {
    state: {
      ...state,
      asked: Object.fromEntries(Object.entries(state.asked).filter(([id]) => !waits.some(([wait]) => wait === id))),
      hashes: Object.fromEntries(Object.entries(state.hashes).filter(([id]) => !ended.includes(id))),
    },
    updates: [...updates, ...resolved],
  };
}

function interrupted(state: TerminalState): LogReading {
  // The next prompt of the queue is at work already.
  if (state.next) return nothing({ ...state, next: false });
  // Told before, by the file that says what it is doing.
  if (state.hooks && !state.busy) return nothing(state);
  return atRest({ ...state, busy: false }, "interrupted");
}

/** A command of the terminal is done, or a turn was interrupted. */
function atRest(state: TerminalState, reason?: string): LogReading {
  if (state.busy) return nothing(state);
  return rest(state, [], status("idle", reason));
}

/** The turn is over, and with it all that was asked. */
export function rest(state: TerminalState, updates: Update[], last: Update): LogReading {
  const over = Object.keys(state.asked).map((pendingId): Update => ({ type: "resolved", pendingId }));
  const { stopped: _, ...left } = state;
  const after = { ...left, busy: false, interrupted: false, asked: {}, queued: 0, next: false };
  return { state: after, updates: [...updates, ...over, last] };
}

/** The hook told that the turn is over, and now the session log has told its last message, or will not any more. */
export function finish(state: TerminalState, updates: Update[] = []): LogReading {
  const { stopped } = state;
  const last: Update = { type: "status", status: "idle", source: "hook" };
  if (stopped === undefined || stopped.text === "" || stopped.text === state.said) return rest(state, updates, last);
  const message = { ...stopped, role: "assistant" as const, finishReason: "end_turn" };
  const told: Update[] = [
    { type: "message", message },
    { type: "output", text: `${stopped.text}\n` },
  ];
  return rest({ ...state, said: stopped.text }, [...updates, ...told], last);
}

function readAssistant(state: TerminalState, line: Json, at: number): LogReading {
  if (line["isApiErrorMessage"] === true && isPast(state, line, at)) return nothing(state);
  if (line["isApiErrorMessage"] === true) return failed(state, textOf(asRecord(line["message"])["content"]));
  const { tools, updates } = assistantUpdates(state.tools, line, at);
  const text = textOf(asRecord(line["message"])["content"]);
  const hashes = { ...state.hashes };
  for (const block of asList(asRecord(line["message"])["content"]).map(asRecord)) {
    if (block["type"] === "tool_use") hashes[asText(block["id"]) ?? ""] = hashOf([block["name"], block["input"]]);
  }
  const after = { ...state, tools, hashes, ...(text === "" ? {} : { said: text }) };
  const isLast = state.stopped !== undefined && state.stopped.text === text;
  return isLast ? finish(after, updates) : { state: after, updates };
}

/** The model could not be asked; the hook for it tells the same. */
function failed(state: TerminalState, message: string): LogReading {
  if (state.failure === message) return nothing(state);
  return rest({ ...state, failure: message }, [{ type: "error", message }], status("error", message));
}

function readSystem(state: TerminalState, line: Json, at: number): LogReading {
  if (isPast(state, line, at)) return nothing(state);
  const isOutput = asText(line["content"])?.startsWith("<local-command-stdout>") === true;
  if (line["subtype"] === "local_command" && isOutput) return atRest(state);
  if (line["subtype"] !== "turn_duration") return nothing(state);
  // The turn is over; the next one of the queue is at work, or about to be.
  if (state.next) return nothing({ ...state, next: false });
  if (state.queued > 0 || (state.hooks && !state.busy)) return nothing(state);
  return state.stopped === undefined ? atRest({ ...state, busy: false }) : finish(state);
}
