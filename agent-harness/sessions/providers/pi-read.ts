import type { JournalRecord } from "../journal.ts";
import type { Reading } from "../provider.ts";
import type { Update } from "../session.ts";
import { asRecord, asText, parseLine } from "./json.ts";
import { dialog } from "./pi-dialog.ts";
import { endingOf, messageUpdates, textOf } from "./pi-message.ts";
import type { PiState } from "./pi-state.ts";

/*
 * What pi says, in rpc mode or through our extension in its terminal program, which speaks alike. A turn is over when pi says
 * so (agent_settled), or when after its agent_end the state that we ask for shows no work: an agent_end alone may be followed
 * by another try or by compaction.
 */

type PiReading = Reading<PiState>;
type Event = Record<string, unknown>;

const nothing = (state: PiState): PiReading => ({ state, updates: [] });
const askState = (id: string): string => JSON.stringify({ id, type: "get_state" });

/** What a record means. */
export function readPi(state: PiState, record: JournalRecord): PiReading {
  const known = state.since === undefined ? { ...state, since: record.at } : state;
  // In a terminal it is the bridge and the terminal program that have started: the extension says when pi is there.
  if (record.from === "started") return known.terminal ? nothing(known) : begin(known);
  if (record.from === "stdout") return readLine(known, record.line, record.at);
  if (record.from === "stdin") return readAnswer(known, record.line);
  if (record.from === "file") return readLog(known, record.line, record.at);
  return nothing(known);
}

/** The line that gives pi a prompt: by itself, or at the next chance when it is at work. */
export function promptLine(state: PiState, text: string): { state: PiState; line: string } {
  const id = `p${state.prompts + 1}`;
  const line = JSON.stringify({ id, type: "prompt", message: text, streamingBehavior: "steer" });
  return { state: { ...state, prompts: state.prompts + 1, owed: [...state.owed, id] }, line };
}

/** pi is there, or its terminal program's extension: what it works for, and the first thing to do. */
function begin(state: PiState): PiReading {
  const { task, ...rest } = state;
  if (task === undefined) return { state, updates: [], writes: [askState("settle")] };
  const prompt = promptLine(rest, task);
  return { state: prompt.state, updates: [], writes: [askState("state"), prompt.line] };
}

function readLine(state: PiState, line: string, at: number): PiReading {
  const event = parseLine(line);
  if (event === undefined) return nothing(state);
  const type = asText(event["type"]) ?? "";
  const reader = Object.hasOwn(readers, type) ? readers[type] : undefined;
  if (reader !== undefined) return reader(state, event, at);
  return ignored.has(type) ? nothing(state) : { state, updates: [{ type: "unknown", raw: event }] };
}

/** Said in other words by what we read. */
const ignored = new Set(
  `session turn_start turn_end message_start message_update tool_execution_update queue_update session_shutdown
  session_info_changed thinking_level_changed model_changed entry_appended auto_compaction_start`.split(/\s+/),
);

const readers: Record<string, (state: PiState, event: Event, at: number) => PiReading> = {
  hello: (state) => begin({ ...state, live: true }),
  response,
  agent_start: (state) => ({
    state: working({ ...state, streaming: true, retrying: false }),
    updates: [{ type: "status", status: "processing", source: "protocol" }],
  }),
  agent_end: (state, event) => {
    const last = endingOf(event["messages"]) ?? state.last;
    const ended = { ...state, streaming: false, ...(last === undefined ? {} : { last }) };
    return event["willRetry"] === true ? nothing(ended) : { state: ended, updates: [], writes: [askState("settle")] };
  },
  agent_settled: (state, event) =>
    rest({ ...state, streaming: false, ...(event["aborted"] === true ? { last: { stopReason: "aborted" } } : {}) }),
  auto_retry_start: (state, event) => {
    const reason = `retry ${event["attempt"]} of ${event["maxAttempts"]}: ${event["errorMessage"]}`;
    return {
      state: working({ ...state, retrying: true }),
      updates: [{ type: "status", status: "processing", source: "protocol", reason }],
    };
  },
  auto_retry_end: (state, event) => {
    const cancelled = event["finalError"] === "Retry cancelled";
    const after = { ...state, retrying: false, ...(cancelled ? { last: { stopReason: "aborted" } } : {}) };
    return event["success"] === true ? nothing(after) : { state: after, updates: [], writes: [askState("settle")] };
  },
  compaction_start: (state) => nothing({ ...state, compacting: true }),
  compaction_end: (state, event) => {
    const message = asText(event["errorMessage"]);
    const updates: Update[] =
      message === undefined ? [] : [{ type: "error", message: `Compaction failed: ${message}` }];
    const after = { ...state, compacting: false };
    return event["willRetry"] === true
      ? { state: after, updates }
      : { state: after, updates, writes: [askState("settle")] };
  },
  message_end: (state, event, at) => messageUpdates(state, event["message"], at),
  tool_execution_start: (state, event) => ({
    state,
    updates: [{ type: "tool_use", id: toolId(event), tool: toolName(event), input: event["args"] }],
  }),
  tool_execution_end: (state, event) => {
    const output = textOf(asRecord(event["result"])["content"]);
    const isError = event["isError"] === true;
    return { state, updates: [{ type: "tool_result", id: toolId(event), tool: toolName(event), output, isError }] };
  },
  extension_ui_request: (state, event) => {
    const asked = dialog(event);
    if (asked === undefined) return nothing(state);
    if (asked.type !== "pending") return { state, updates: [asked] };
    return { state: { ...state, asked: [...state.asked, asked.pending.id] }, updates: [asked] };
  },
  extension_error: (state, event) => {
    const message = `The extension ${event["extensionPath"]} failed in ${event["event"]}: ${event["error"]}`;
    return { state, updates: [{ type: "error", message }] };
  },
};

const toolId = (event: Event): string => asText(event["toolCallId"]) ?? "";
const toolName = (event: Event): string => asText(event["toolName"]) ?? "";
const working = (state: PiState): PiState => ({ ...state, resting: false });

/** pi's answer to a line of ours. */
function response(state: PiState, event: Event): PiReading {
  const command = asText(event["command"]);
  const id = asText(event["id"]);
  if (command === "prompt") {
    const after = working({ ...state, owed: state.owed.filter((one) => one !== id) });
    // What an extension answers by itself begins no turn, so the state is asked for either way.
    if (event["success"] === true) return { state: after, updates: [], writes: [askState("settle")] };
    return fail(after, asText(event["error"]) ?? "pi did not take the prompt.");
  }
  if (event["success"] !== true) {
    return { state, updates: [{ type: "error", message: `pi refused ${command}: ${event["error"]}` }] };
  }
  if (command === "get_state") return readState(state, asRecord(event["data"]), id === "settle");
  return nothing(state);
}

function readState(state: PiState, data: Event, settle: boolean): PiReading {
  const id = asText(data["sessionId"]);
  const file = asText(data["sessionFile"]);
  const isNew = id !== undefined && id !== state.session;
  const updates: Update[] = isNew ? [{ type: "provider_session", id, ...(file === undefined ? {} : { file }) }] : [];
  const known = isNew ? { ...state, session: id } : state;
  const busy = ["isStreaming", "isCompacting", "isRetrying"].some((name) => data[name] === true);
  if (!settle || busy) return { state: known, updates };
  const settled = rest({ ...known, streaming: false });
  return { ...settled, updates: [...updates, ...settled.updates] };
}

/** It is at rest, unless something is known that goes on. Told once a turn. */
function rest(state: PiState): PiReading {
  if (state.resting || state.retrying || state.compacting || state.streaming || state.owed.length > 0) {
    return nothing(state);
  }
  if (state.last?.stopReason === "error") return fail(state, state.last.errorMessage ?? "The model failed.");
  const reason = state.last?.stopReason === "aborted" ? { reason: "interrupted" } : {};
  return quiet(state, [{ type: "status", status: "idle", source: "protocol", ...reason }]);
}

function fail(state: PiState, message: string): PiReading {
  const updates: Update[] = [
    { type: "error", message },
    { type: "status", status: "error", source: "protocol", reason: message },
  ];
  return state.streaming ? { state, updates: updates.slice(0, 1) } : quiet(state, updates);
}

function quiet(state: PiState, updates: Update[]): PiReading {
  const { last: _, ...after } = state;
  const closed = state.asked.map((pendingId) => ({ type: "resolved" as const, pendingId }));
  return { state: { ...after, resting: true, asked: [] }, updates: [...closed, ...updates] };
}

/** Our own line that answers a dialog: with it, pi does not wait any more. */
function readAnswer(state: PiState, line: string): PiReading {
  if (!line.includes("extension_ui_response")) return nothing(state);
  const pendingId = asText(parseLine(line)?.["id"]);
  if (pendingId === undefined || !state.asked.includes(pendingId)) return nothing(state);
  const asked = state.asked.filter((one) => one !== pendingId);
  return { state: { ...state, asked }, updates: [{ type: "resolved", pendingId }] };
}

/** A line of the session log. Its messages count whether or not the extension speaks; its endings only when it does not. */
function readLog(state: PiState, line: string, at: number): PiReading {
  const entry = parseLine(line) ?? {};
  if (entry["type"] === "session" && !state.live && state.session === undefined) {
    const id = asText(entry["id"]);
    if (id !== undefined) return { state: { ...state, session: id }, updates: [{ type: "provider_session", id }] };
  }
  const message = asRecord(entry["message"]);
  const written = typeof message["timestamp"] === "number" ? message["timestamp"] : at;
  if (entry["type"] !== "message" || written < (state.since ?? 0)) return nothing(state);
  const told = messageUpdates(state, message, at);
  if (state.live) return told;
  const status = logStatus(message);
  return status === undefined ? told : { ...told, updates: [...told.updates, status] };
}

function logStatus(message: Event): Update | undefined {
  const source = "session_log" as const;
  const stopReason = message["stopReason"];
  if (message["role"] === "user" || stopReason === "toolUse") return { type: "status", status: "processing", source };
  if (message["role"] !== "assistant" || stopReason === undefined) return undefined;
  if (stopReason !== "error") return { type: "status", status: "idle", source };
  return { type: "status", status: "error", source, reason: asText(message["errorMessage"]) ?? "The model failed." };
}
