import type { JournalRecord } from "../journal.ts";
import type { Delivery, Reading } from "../provider.ts";
import type { Answer, Pending, Update } from "../session.ts";
import { assistantUpdates, textOf, toolResults } from "./claude-code-message.ts";
import { decisionOf, pendingOf } from "./claude-code-pending.ts";
import { endingOf, retryReason } from "./claude-code-result.ts";
import { type Ending, messageId, type PipeState } from "./claude-code-state.ts";
import { asRecord, asText, parseLine } from "./json.ts";

/*
 * Claude Code on pipes: its stream-json protocol. It says itself whether it runs, asks or rests; a result alone is not yet the
 * end, since messages may be queued. A message that we give carries an id: the program tells what becomes of it, and takes the
 * same one once.
 */

type Json = Record<string, unknown>;
type PipeReading = Reading<PipeState>;

const nothing = (state: PipeState): PipeReading => ({ state, updates: [] });
const told = (state: PipeState, ...updates: Update[]): PipeReading => ({ state, updates });

/** What a record means. */
export function readPipe(state: PipeState, record: JournalRecord): PipeReading {
  if (record.from === "started") return begin({ ...state, run: record.n });
  if (record.from === "stdin") return readGiven(state, record.line, record.at);
  if (record.from === "stderr") return told({ ...state, stderr: record.line.slice(0, 500) }, output(record.line));
  if (record.from === "stdout") return readLine(state, record.line, record.at);
  if (record.from === "exited") return exit(state, record.code);
  return nothing(state);
}

const output = (line: string): Update => ({ type: "output", text: `${line}\n` });

/** It is there: the handshake, and the first thing to do. */
function begin({ task, ...state }: PipeState): PipeReading {
  const handshake = JSON.stringify(request("initialize", { subtype: "initialize", hooks: null }));
  if (task === undefined) return { state, updates: [], writes: [handshake] };
  const { state: after, line } = messageLine(state, task);
  return { state: after, updates: [], writes: [handshake, line] };
}

const request = (id: string, body: Json): Json => ({ type: "control_request", request_id: id, request: body });

/** The line that gives it a message: at rest it begins a turn, in a turn it is worked in or queued. */
export function messageLine(state: PipeState, text: string): { state: PipeState; line: string } {
  const uuid = messageId(state);
  const line = JSON.stringify({ type: "user", uuid, message: { role: "user", content: text } });
  return { state: { ...state, given: state.given + 1, open: [...state.open, uuid] }, line };
}

/** The line that ends the turn. */
export function interruptLine(state: PipeState): { state: PipeState; delivery: Delivery } {
  const line = JSON.stringify(request(`interrupt-${state.run}-${state.given}`, { subtype: "interrupt" }));
  return { state, delivery: { lines: [line] } };
}

/** The line that answers what it asks; undefined when it does not ask that any more. */
export function answerLine(
  state: PipeState,
  pending: Pending,
  answer: Answer,
): { state: PipeState; delivery: Delivery } | undefined {
  const decision = Object.hasOwn(state.asked, pending.id) ? decisionOf(pending, answer) : undefined;
  if (decision === undefined) return undefined;
  const response = { subtype: "success", request_id: pending.id, response: decision };
  return { state, delivery: { lines: [JSON.stringify({ type: "control_response", response })] } };
}

/** What we gave it, as the journal has it. */
function readGiven(state: PipeState, line: string, at: number): PipeReading {
  const given = parseLine(line) ?? {};
  if (given["type"] === "user") {
    const text = textOf(asRecord(given["message"])["content"]);
    const id = asText(given["uuid"]) ?? `at-${at}`;
    return told(state, { type: "message", message: { id, at, role: "user", text, finishReason: null } });
  }
  if (given["type"] === "control_response") return resolved(state, asText(asRecord(given["response"])["request_id"]));
  const isInterrupt = asRecord(given["request"])["subtype"] === "interrupt";
  return nothing(isInterrupt ? { ...state, interrupted: true } : state);
}

function resolved(state: PipeState, id: string | undefined): PipeReading {
  if (id === undefined || !Object.hasOwn(state.asked, id)) return nothing(state);
  const { [id]: _, ...asked } = state.asked;
  return told({ ...state, asked }, { type: "resolved", pendingId: id });
}

function readLine(state: PipeState, text: string, at: number): PipeReading {
  if (text.trim() === "") return nothing(state);
  const line = parseLine(text);
  if (line === undefined) return told(state, { type: "unknown", raw: text });
  const type = asText(line["type"]) ?? "";
  if (Object.hasOwn(readers, type)) return readers[type]?.(state, line, at) ?? nothing(state);
  return ignored.has(type) ? nothing(state) : told(state, { type: "unknown", raw: line });
}

/** Said in other words by what we read. */
const ignored = new Set(
  `stream_event keep_alive tool_progress tool_use_summary rate_limit_event auth_status prompt_suggestion
  control_cancel_response transcript_mirror streamlined_text streamlined_tool_use_summary`.split(/\s+/),
);

const readers: Record<string, (state: PipeState, line: Json, at: number) => PipeReading> = {
  system: readSystem,
  assistant: (state, line, at) => {
    const { tools, updates } = assistantUpdates(state.tools, line, at);
    // A failed request comes as if the assistant had said it; the result tells it again.
    if (line["is_api_error_message"] === true) return nothing(state);
    return { state: { ...state, tools }, updates };
  },
  user: (state, line) => {
    const { tools, updates } = toolResults(state.tools, asRecord(line["message"])["content"]);
    return { state: { ...state, tools }, updates };
  },
  result: readResult,
  control_request: readRequest,
  control_cancel_request: (state, line) => resolved(state, asText(line["request_id"])),
  control_response: readResponse,
  command_lifecycle: (state, line) => {
    const tells = { ...state.tells, messages: true };
    const isOpen = line["state"] === "queued" || line["state"] === "started";
    const open = isOpen ? state.open : state.open.filter((uuid) => uuid !== line["command_uuid"]);
    return nothing({ ...state, tells, open });
  },
};

/** It answers a request of ours. */
function readResponse(state: PipeState, line: Json): PipeReading {
  const { subtype, request_id: id, error } = asRecord(line["response"]);
  if (subtype === "error") return told(state, { type: "error", message: `It refused ${String(id)}: ${String(error)}` });
  if (id !== "initialize" || state.open.length > 0) return nothing(state);
  // Only started to be gone on with: it is there, and has nothing to do.
  return told(state, { type: "status", status: "idle", source: "protocol" });
}

function readSystem(state: PipeState, line: Json): PipeReading {
  const subtype = asText(line["subtype"]) ?? "";
  if (subtype === "init") return session(state, line);
  if (subtype === "session_state_changed") return changed(state, asText(line["state"]));
  if (subtype === "api_retry") {
    return told(state, { type: "status", status: "processing", source: "protocol", reason: retryReason(line) });
  }
  return ignoredSystem.has(subtype) ? nothing(state) : told(state, { type: "unknown", raw: line });
}

const ignoredSystem = new Set(
  `status compact_boundary hook_started hook_progress hook_response task_started task_progress task_updated
  task_notification permission_denied files_persisted local_command_output elicitation_complete
  post_turn_summary bridge_state background_tasks_changed memory_recall`.split(/\s+/),
);

/** At the beginning of every turn it says who it is. */
function session(state: PipeState, line: Json): PipeReading {
  const id = asText(line["session_id"]) ?? state.session;
  // An interrupt that came too late for the last turn is none of this one.
  const begun = { ...state, interrupted: false };
  if (state.tells.session && id === state.session) return nothing(begun);
  const after = { ...begun, session: id, tells: { ...state.tells, session: true } };
  const file = state.file?.replace(state.session, id);
  return told(after, { type: "provider_session", id, ...(file === undefined ? {} : { file }) });
}

function changed(state: PipeState, to: string | undefined): PipeReading {
  const after = { ...state, tells: { ...state.tells, state: true } };
  if (to === "running") return told(after, { type: "status", status: "processing", source: "protocol" });
  // What it asks comes in a request of its own.
  if (to !== "idle") return nothing(after);
  // It has not looked at a message that it was given: it goes on at once.
  if (state.tells.messages && state.open.length > 0) return nothing(after);
  return rest(after, state.ending ?? { status: "idle" });
}

function rest(state: PipeState, { status, reason }: Ending): PipeReading {
  const { ending: _, ...left } = state;
  const over = Object.keys(state.asked).map((pendingId): Update => ({ type: "resolved", pendingId }));
  const status_: Update = { type: "status", status, source: "protocol", ...(reason === undefined ? {} : { reason }) };
  return told({ ...left, asked: {}, tools: {}, open: [], interrupted: false }, ...over, status_);
}

function readResult(state: PipeState, line: Json): PipeReading {
  const { ending, updates } = endingOf(line, state.interrupted);
  const failure = updates.find((one) => one.type === "error")?.message;
  const after = { ...state, ending, interrupted: false, ...(failure === undefined ? {} : { failure }) };
  const queued = Number(line["queued_turn_count"] ?? 0);
  if (state.tells.state || queued > 0) return { state: after, updates };
  const atRest = rest(after, ending);
  return { state: atRest.state, updates: [...updates, ...atRest.updates] };
}

/** It asks something of us: mostly whether a tool may be used. */
function readRequest(state: PipeState, line: Json): PipeReading {
  const id = asText(line["request_id"]) ?? "";
  const asked = asRecord(line["request"]);
  if (asked["subtype"] === "can_use_tool") {
    const { tool_name, input, permission_suggestions: suggestions, decision_reason: why } = asked;
    const pending = pendingOf(id, { tool: asText(tool_name) ?? "", input, suggestions, why });
    const use = asText(asked["tool_use_id"]) ?? "";
    return told({ ...state, asked: { ...state.asked, [id]: use } }, { type: "pending", pending });
  }
  // Left without an answer it would wait for ever.
  const error = `This host does not answer ${asText(asked["subtype"]) ?? "that"}.`;
  const refusal = { type: "control_response", response: { subtype: "error", request_id: id, error } };
  return { state, updates: [{ type: "unknown", raw: line }], writes: [JSON.stringify(refusal)] };
}

function exit(state: PipeState, code: number | null): PipeReading {
  const over = Object.keys(state.asked).map((pendingId): Update => ({ type: "resolved", pendingId }));
  const isNews = code !== 0 && code !== null && state.stderr !== undefined && state.stderr !== state.failure;
  const why: Update[] = isNews ? [{ type: "error", message: `It ended with exit code ${code}: ${state.stderr}` }] : [];
  return told({ ...state, asked: {}, tools: {}, open: [] }, ...over, ...why);
}
