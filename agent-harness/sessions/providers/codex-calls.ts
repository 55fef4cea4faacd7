import { type Call, type CodexState, without } from "./codex-state.ts";

/* Lines for `codex app-server`: JSON-RPC without its version field. Requests get ids that rise from 1. */

/** A state, and lines for the program. */
export interface Lines {
  state: CodexState;
  lines: string[];
}

const clientInfo = { name: "agent-harness", title: "agent-harness", version: "1" };

/** News that comes whole at the end, that repeats each time what was said before, or that nobody here reads. */
const unwanted = [
  "item/agentMessage/delta",
  "item/plan/delta",
  "turn/diff/updated",
  "item/fileChange/patchUpdated",
  "item/reasoning/textDelta",
  "account/rateLimits/updated",
  "thread/tokenUsage/updated",
];

/** A request. */
function call(state: CodexState, kind: Call, method: string, params: unknown): Lines {
  const id = state.requests + 1;
  const calls = { ...state.calls, [id]: kind };
  return { state: { ...state, requests: id, calls }, lines: [JSON.stringify({ method, id, params })] };
}

/** Says who we are and begins the thread, or goes on with it; nothing that was asked before is answered any more. */
export function openLines(state: CodexState): Lines {
  const opening = state.opening ?? { method: "thread/resume", params: { threadId: state.thread, excludeTurns: true } };
  const capabilities = { experimentalApi: true, requestAttestation: false, optOutNotificationMethods: unwanted };
  const hello = call({ ...state, calls: {} }, { kind: "initialize" }, "initialize", { clientInfo, capabilities });
  const open = call(hello.state, { kind: "open" }, opening.method, opening.params);
  return { state: open.state, lines: [...hello.lines, JSON.stringify({ method: "initialized" }), ...open.lines] };
}

/**
 * Input. codex itself decides whether it begins a turn or joins the one under way, so nothing can come in between. Before the
 * thread is open it becomes the task, and a thread that could not be opened is tried once more.
 */
export function inputLines(state: CodexState, text: string): Lines {
  if (state.thread === undefined) {
    const task = state.task === undefined ? text : `${state.task}\n\n${text}`;
    return reopenLines({ ...state, task });
  }
  const params = { threadId: state.thread, clientUserMessageId: `input-${state.requests + 1}`, input: userInput(text) };
  return call(state, { kind: "turn", text }, "turn/start", params);
}

function reopenLines(state: CodexState): Lines {
  const { opening } = state;
  if (opening === undefined || Object.keys(state.calls).length > 0) return { state, lines: [] };
  return call(state, { kind: "open" }, opening.method, opening.params);
}

const userInput = (text: string) => [{ type: "text", text, text_elements: [] }];

/** Ends the turn; without a turn's id, the one that is just beginning. Before the thread is open there is only a task to be dropped. */
export function interruptLines(state: CodexState): Lines {
  if (state.thread === undefined) return { state: without(state, "task"), lines: [] };
  const params = { threadId: state.thread, turnId: state.turn ?? "" };
  return call({ ...state, stopping: true }, { kind: "interrupt" }, "turn/interrupt", params);
}

/** Ends the commands that an interrupted turn left running: codex keeps them otherwise. */
export function cleanLines(state: CodexState): Lines {
  return call(state, { kind: "clean" }, "thread/backgroundTerminals/clean", { threadId: state.thread });
}

/** The answer to a request of codex. */
export const answerLine = (request: string | number, result: unknown): string =>
  JSON.stringify({ id: request, result });

/** That we know no such request. */
export const refuseLine = (request: string | number, method: string): string =>
  JSON.stringify({ id: request, error: { code: -32601, message: `agent-harness does not answer ${method}.` } });
