import type { JournalRecord } from "../journal.ts";
import type { Reading } from "../provider.ts";
import type { Pending, Update } from "../session.ts";
import { asList, asRecord, asText, parseLine } from "./json.ts";
import { permission, question } from "./opencode-ask.ts";
import { readMessage, readMessages, readPart, wholeMessage } from "./opencode-message.ts";
import { type OpencodeState, remember } from "./opencode-state.ts";

/*
 * What the bridge to opencode says: the server's own events, and its own (bridge.…). The server says idle more than once, and
 * before it begins with a prompt that it has taken: idle counts when work was told before, and nothing is owed.
 */

type OpencodeReading = Reading<OpencodeState>;
type Json = Record<string, unknown>;

const nothing = (state: OpencodeState): OpencodeReading => ({ state, updates: [] });

/** What a record means. */
export function readOpencode(state: OpencodeState, record: JournalRecord): OpencodeReading {
  if (record.from !== "stdout") return nothing(state);
  const event = parseLine(record.line);
  if (event === undefined) return nothing(state);
  const type = asText(event["type"]) ?? "";
  const reader = Object.hasOwn(readers, type) ? readers[type] : undefined;
  if (reader !== undefined) return reader(state, asRecord(event["properties"]), record.at);
  return ignored.test(type) ? nothing(state) : { state, updates: [{ type: "unknown", raw: event }] };
}

/** The bridge's command for a prompt: opencode takes one while it works, too. */
export function promptCommand(state: OpencodeState, text: string): { state: OpencodeState; line: string } {
  const id = `p${state.prompts + 1}`;
  const after = { ...state, prompts: state.prompts + 1, owed: state.owed + 1 };
  return { state: after, line: JSON.stringify({ do: "prompt", id, text }) };
}

/** Said in other words by what we read, or not about the session. */
const ignored =
  /^(bridge\.done|session\.(idle|updated|deleted|compacted|diff|next\..*)|message\.(removed|part\.(removed|delta))|(server|file|todo|tui|pty|vcs|lsp|project|plugin|catalog|integration|reference|installation|workspace|worktree|command|global|mcp|models-dev|storage|ide)\..*)$/;

const readers: Record<string, (state: OpencodeState, properties: Json, at: number) => OpencodeReading> = {
  "bridge.started": ({ task, ...state }) => {
    if (task === undefined) return nothing(state);
    const { state: after, line } = promptCommand(state, task);
    return { state: after, updates: [], writes: [line] };
  },
  "bridge.ready": (state, { session }) => {
    const id = asText(session);
    return { state, updates: id === undefined ? [] : [{ type: "provider_session", id }] };
  },
  "bridge.snapshot": snapshot,
  "bridge.refused": refused,
  "bridge.failed": (state, { message }) => fail(state, asText(message) ?? "opencode failed."),
  "session.created": (state, { info }) => {
    const { id, parentID } = asRecord(info);
    if (asText(id) === undefined || parentID === undefined || state.children.includes(String(id)))
      return nothing(state);
    return nothing({ ...state, children: remember(state.children, String(id)) });
  },
  "message.updated": (state, { info }) => readMessage(state, asRecord(info)),
  "message.part.updated": (state, { part, time }, at) =>
    readPart(state, asRecord(part), typeof time === "number" ? time : at),
  "permission.asked": (state, request) => ask(state, permission(request)),
  "permission.replied": (state, { requestID }) => resolved(state, requestID),
  "question.asked": (state, request) => ask(state, question(request)),
  "question.replied": (state, { requestID }) => resolved(state, requestID),
  "question.rejected": (state, { requestID }) => resolved(state, requestID),
  "session.status": (state, { sessionID, status }) =>
    state.children.includes(String(sessionID)) ? nothing(state) : readStatus(state, asRecord(status)),
  "session.error": (state, { sessionID, error }) =>
    state.children.includes(String(sessionID)) ? nothing(state) : readError(state, asRecord(error)),
};

function ask(state: OpencodeState, pending: Pending): OpencodeReading {
  if (state.asked.includes(pending.id)) return nothing(state);
  return { state: { ...state, asked: remember(state.asked, pending.id) }, updates: [{ type: "pending", pending }] };
}

function resolved(state: OpencodeState, id: unknown): OpencodeReading {
  const pendingId = asText(id);
  if (pendingId === undefined || !state.asked.includes(pendingId)) return nothing(state);
  const asked = state.asked.filter((one) => one !== pendingId);
  return { state: { ...state, asked }, updates: [{ type: "resolved", pendingId }] };
}

function readStatus(state: OpencodeState, status: Json): OpencodeReading {
  if (status["type"] === "idle") return state.owed > 0 || state.phase === "begun" ? nothing(state) : idle(state);
  const source = "protocol" as const;
  if (status["type"] === "retry") {
    const reason = `retry ${status["attempt"]}: ${status["message"]}`;
    return { state: { ...state, phase: "busy" }, updates: [{ type: "status", status: "processing", source, reason }] };
  }
  // It is told at each step: once is enough.
  if (status["type"] !== "busy" || state.phase === "busy") return nothing(state);
  const updates: Update[] = [{ type: "status", status: "processing", source }];
  return { state: { ...state, phase: "busy", aborted: false }, updates: state.phase === "begun" ? [] : updates };
}

/** At rest; said more than once, it is told once. */
function idle(state: OpencodeState): OpencodeReading {
  if (state.phase === "idle") return nothing(state);
  if (state.failure !== undefined && !state.aborted) return fail(state, state.failure);
  const reason = state.aborted ? { reason: "interrupted" } : {};
  return rest(state, [{ type: "status", status: "idle", source: "protocol", ...reason }]);
}

function fail(state: OpencodeState, message: string): OpencodeReading {
  return rest(state, [
    { type: "error", message },
    { type: "status", status: "error", source: "protocol", reason: message },
  ]);
}

function rest(state: OpencodeState, updates: Update[]): OpencodeReading {
  const finishReason = state.text?.finish ?? (state.aborted ? "MessageAbortedError" : null);
  const last = wholeMessage(state, { finishReason });
  const { failure: _, ...after } = last.state;
  const closed: Update[] = state.asked.map((pendingId) => ({ type: "resolved", pendingId }));
  return {
    state: { ...after, phase: "idle", owed: 0, asked: [], aborted: false },
    updates: [...closed, ...last.updates, ...updates],
  };
}

/** After an interrupt: what was taken before it cannot begin any more, what was given after it begins soon. */
function settle(state: OpencodeState, taken: unknown): OpencodeReading {
  const owed = Math.max(0, state.prompts - (typeof taken === "number" ? taken : 0));
  return owed > 0 ? nothing({ ...state, owed, phase: "idle" }) : idle({ ...state, owed });
}

/** The turn has failed. While work is told it ends with being idle; else nothing more may come. */
function readError(state: OpencodeState, error: Json): OpencodeReading {
  const name = asText(error["name"]) ?? "Error";
  if (name === "MessageAbortedError") return nothing({ ...state, aborted: true });
  const message = asText(asRecord(error["data"])["message"]) ?? name;
  return state.phase === "busy" ? nothing({ ...state, failure: message }) : fail(state, message);
}

/** opencode, or the bridge, did not take a command of ours. */
function refused(state: OpencodeState, told: Json): OpencodeReading {
  const message = `opencode refused: ${asText(told["message"]) ?? told["status"]}`;
  if (told["do"] === "prompt") {
    const after = { ...state, owed: Math.max(0, state.owed - 1) };
    const isResting = after.phase === "idle" || after.phase === "new";
    return isResting ? fail(after, message) : { state: after, updates: [{ type: "error", message }] };
  }
  // Nobody waits for this answer any more.
  if (told["status"] === 404) return resolved(state, told["id"]);
  return { state, updates: [{ type: "error", message }] };
}

/** What there is after a connection: what was missed in between is told now. */
function snapshot(state: OpencodeState, told: Json, at: number): OpencodeReading {
  const permissions = asList(told["permissions"]).map((one) => permission(asRecord(one)));
  const questions = asList(told["questions"]).map((one) => question(asRecord(one)));
  const open = [...permissions, ...questions];
  const gone = state.asked.filter((id) => !open.some((one) => one.id === id));
  const steps = [
    (now: OpencodeState) => readMessages(now, told["messages"], at),
    ...gone.map((id) => (now: OpencodeState) => resolved(now, id)),
    ...open.map((one) => (now: OpencodeState) => ask(now, one)),
    (now: OpencodeState) => {
      const status = asRecord(told["status"]);
      return told["settled"] === true && status["type"] === "idle"
        ? settle(now, told["taken"])
        : readStatus(now, status);
    },
  ];
  let reading = nothing(state);
  for (const step of steps) {
    const { state: after, updates } = step(reading.state);
    reading = { state: after, updates: [...reading.updates, ...updates] };
  }
  return reading;
}
