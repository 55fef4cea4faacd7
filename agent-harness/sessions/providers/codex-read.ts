import { stripVTControlCharacters } from "node:util";
import type { JournalRecord } from "../journal.ts";
import type { Reading } from "../provider.ts";
import type { Update } from "../session.ts";
import { askKind, pendingOf } from "./codex-asks.ts";
import { cleanLines, inputLines, type Lines, openLines, refuseLine } from "./codex-calls.ts";
import { completedItem, startedItem } from "./codex-items.ts";
import { type Call, type CodexState, without } from "./codex-state.ts";
import { asList, asRecord, asText, parseLine } from "./json.ts";

/*
 * What `codex app-server` says, on its standard output or through bridges/codex-bridge.ts. A turn is over with
 * turn/completed and with nothing else; an error that codex tries again after is none.
 */

type CodexReading = Reading<CodexState>;
type Message = Record<string, unknown>;
type Stdout = Extract<JournalRecord, { from: "stdout" }>;

const nothing = (state: CodexState): CodexReading => ({ state, updates: [] });
const told = (state: CodexState, ...updates: Update[]): CodexReading => ({ state, updates });
const written = ({ state, lines }: Lines, ...updates: Update[]): CodexReading => ({ state, updates, writes: lines });

/** What a record means. */
export function readCodex(state: CodexState, record: JournalRecord): CodexReading {
  if (record.from === "started") return state.shared ? nothing(state) : written(openLines(state));
  if (record.from === "stdout") return readLine(state, record);
  if (record.from === "stderr") return nothing(complaintOf(state, record.line));
  if (record.from === "exited") return exited(state, record.code);
  return nothing(state);
}

/** The first lines on its standard error, until it has begun. */
const complaintOf = (state: CodexState, line: string): CodexState =>
  state.thread === undefined ? { ...state, complaint: `${state.complaint ?? ""}${line}\n`.slice(0, 2000) } : state;

/** A program that ended before it had a thread says why on its standard error, and nowhere else. */
function exited(state: CodexState, code: number | null): CodexReading {
  if (state.thread !== undefined || code === 0 || state.complaint === undefined) return nothing(state);
  return told(state, { type: "error", message: `codex did not start: ${plain(state.complaint)}` });
}

/** Without colours, and without the list of its own functions. */
const plain = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\n\s*Stack backtrace:[\s\S]*$/, "")
    .trim();

function readLine(state: CodexState, record: Stdout): CodexReading {
  const message = parseLine(record.line);
  if (message === undefined) {
    return record.line.trim() === "" ? nothing(state) : told(state, { type: "unknown", raw: record.line });
  }
  const method = asText(message["method"]);
  const { id } = message;
  if (method === undefined) return readAnswer(state, message);
  const params = asRecord(message["params"]);
  if (typeof id === "string" || typeof id === "number") return readAsk(state, { method, id, params, n: record.n });
  return readNews(state, { method, params, record, raw: message });
}

/** The answer to a request of ours. */
function readAnswer(state: CodexState, message: Message): CodexReading {
  const id = String(message["id"]);
  const call = Object.hasOwn(state.calls, id) ? state.calls[id] : undefined;
  if (call === undefined) return nothing(state);
  const { [id]: _, ...calls } = state.calls;
  const left = { ...state, calls };
  const error = message["error"] === undefined ? undefined : textOf(asRecord(message["error"])["message"]);
  if (error !== undefined) return refused(left, call, error);
  const result = asRecord(message["result"]);
  if (call.kind === "open") return opened(left, result);
  if (call.kind === "turn") return settle(begun(left, asText(asRecord(result["turn"])["id"])));
  return nothing(left);
}

/** The turn that took the input; it may have ended before we hear of it. */
const begun = (state: CodexState, turn: string | undefined): CodexState =>
  turn === undefined || turn === state.lastTurn ? state : { ...state, turn };

function refused(state: CodexState, call: Call, message: string): CodexReading {
  switch (call.kind) {
    case "initialize":
    case "open":
      return told(
        state,
        {
          type: "error",
          message: `codex could not ${call.kind === "open" ? "open the session" : "start"}: ${message}`,
        },
        { type: "status", status: "error", source: "protocol", reason: message },
      );
    case "turn":
      // A review and a compaction can be joined by nothing: the input is for afterwards.
      if (state.turn !== undefined) return nothing({ ...state, later: join(state.later, call.text) });
      return fail(state, `codex did not take the input: ${message}`);
    case "interrupt":
      // There was no turn any more.
      return nothing(without(state, "stopping"));
    case "clean":
      return told(state, { type: "error", message: `Commands of the interrupted turn may still run: ${message}` });
  }
}

const join = (...texts: (string | undefined)[]): string => texts.filter((text) => text !== undefined).join("\n\n");

function fail(state: CodexState, message: string): CodexReading {
  const error: Update = { type: "error", message };
  return told(without(state, "rest"), error, { type: "status", status: "error", source: "protocol", reason: message });
}

function opened(state: CodexState, result: Message): CodexReading {
  const thread = asRecord(result["thread"]);
  const id = asText(thread["id"]) ?? state.thread;
  if (id === undefined) return nothing(state);
  const file = asText(thread["path"]);
  const status = asRecord(thread["status"]);
  const isNew = state.opening?.method === "thread/start";
  const { task, turn = "", ...left } = without(state, "opening", "complaint", "rest");
  const after: CodexState = {
    ...left,
    thread: id,
    ...(status["type"] === "active" ? { turn } : {}),
    ...(isNew && file !== undefined ? { newLog: file } : {}),
  };
  const session = after.newLog === undefined ? [sessionOf(id, file)] : [];
  if (task !== undefined) return written(inputLines(after, task), ...session);
  // What is still asked after a lost connection is asked again, under the same id.
  if (asList(status["activeFlags"]).length > 0) return told(after, ...session);
  const answered = Object.keys(after.asks).map((pendingId): Update => ({ type: "resolved", pendingId }));
  return told({ ...after, asks: {} }, ...session, ...answered, {
    type: "status",
    status: after.turn === undefined ? "idle" : "processing",
    source: "protocol",
  });
}

const sessionOf = (id: string, file: string | undefined): Update => ({
  type: "provider_session",
  id,
  ...(file === undefined ? {} : { file }),
});

/** Something that codex wants to be answered. */
function readAsk(
  state: CodexState,
  { method, id, params, n }: { method: string; id: string | number; params: Message; n: number },
): CodexReading {
  if (Object.values(state.asks).some(({ request }) => request === id)) return nothing(state);
  const kind = askKind(method, params);
  if (kind === undefined) {
    const reading = told(state, { type: "unknown", raw: { method, id, params } });
    // Its terminal program may know what to say; without one, codex would wait for good.
    return state.shared ? reading : { ...reading, writes: [refuseLine(id, method)] };
  }
  // Its own ids begin anew with each start of the program; ours may not.
  const pendingId = `ask-${n}`;
  const asks = { ...state.asks, [pendingId]: { kind, request: id } };
  return told({ ...state, asks }, { type: "pending", pending: { id: pendingId, ...pendingOf(state, kind, params) } });
}

interface News {
  method: string;
  params: Message;
  record: Stdout;
  raw: Message;
}

function readNews(state: CodexState, news: News): CodexReading {
  const { method, params } = news;
  const reader = Object.hasOwn(readers, method) ? readers[method] : undefined;
  if (reader === undefined) return isIgnored(method) ? nothing(state) : told(state, { type: "unknown", raw: news.raw });
  // Threads of agents that it started itself, and of its terminal program, are not the session's.
  const thread = asText(params["threadId"]);
  return thread !== undefined && thread !== state.thread ? nothing(state) : reader(state, news);
}

/** Said in other words by what we read, or about something else than the session. */
const isIgnored = (method: string): boolean =>
  /^(?:account|app|autoApprovalReview|command|externalAgentConfig|fs|fuzzyFileSearch|hook|mcpServer|model|modelProvider|process|project|rawResponse|rawResponseItem|remoteControl|skills|thread|windows|windowsSandbox)\//.test(
    method,
  ) ||
  /^(?:item|turn)\/.+(?:[dD]elta|Updated|\/updated|\/progress|PartAdded|Interaction|Metadata|\/started|\/completed)$/.test(
    method,
  ) ||
  /(?:[wW]arning|deprecationNotice|bridge\/disconnected)$/.test(method);

const readers: Record<string, (state: CodexState, news: News) => CodexReading> = {
  "bridge/connected": (state) => {
    const lost = "The connection to codex was lost: what it said until now is in its own session log only.";
    return written(
      openLines(state),
      ...(state.thread === undefined ? [] : [{ type: "error" as const, message: lost }]),
    );
  },
  "turn/started": (state, { params }) => {
    const turn = asText(asRecord(params["turn"])["id"]) ?? "";
    const after = without({ ...state, turn }, "failure", "rest", "newLog");
    const { thread, newLog } = state;
    const session = thread === undefined || newLog === undefined ? [] : [sessionOf(thread, newLog)];
    return told(after, ...session, { type: "status", status: "processing", source: "protocol" });
  },
  "turn/completed": (state, { params }) => completed(state, asRecord(params["turn"])),
  "item/started": (state, { params }) => {
    const item = asRecord(params["item"]);
    const id = asText(item["id"]) ?? "";
    const changes =
      item["type"] === "fileChange" ? { ...state.changes, [id]: shortChanges(item["changes"]) } : undefined;
    return told(changes === undefined ? state : { ...state, changes }, ...startedItem(item));
  },
  "item/completed": (state, { params, record }) => {
    const item = asRecord(params["item"]);
    const { [asText(item["id"]) ?? ""]: _, ...changes } = state.changes;
    return told({ ...state, changes }, ...completedItem(item, record));
  },
  error: (state, { params }) => {
    const { message, additionalDetails } = asRecord(params["error"]);
    const text = textOf(message);
    if (params["willRetry"] === true) {
      const reason = [text, asText(additionalDetails)].filter((part) => part !== undefined).join(" ");
      return told(state, { type: "status", status: "processing", source: "protocol", reason });
    }
    return told({ ...state, failure: text }, { type: "error", message: text });
  },
  "serverRequest/resolved": (state, { params }) => {
    const found = Object.entries(state.asks).find(([, { request }]) => request === params["requestId"]);
    if (found === undefined) return nothing(state);
    const { [found[0]]: _, ...asks } = state.asks;
    const status = state.turn === undefined ? "idle" : "processing";
    const goesOn: Update[] = Object.keys(asks).length > 0 ? [] : [{ type: "status", status, source: "protocol" }];
    return told({ ...state, asks }, { type: "resolved", pendingId: found[0] }, ...goesOn);
  },
};

/** The longest that is kept of changes until they are made or refused. */
const maxChanges = 64 * 1024;

function shortChanges(changes: unknown): unknown {
  if (JSON.stringify(changes ?? []).length <= maxChanges) return changes;
  return asList(changes).map((change) => ({ path: asRecord(change)["path"], kind: asRecord(change)["kind"] }));
}

function completed(state: CodexState, turn: Message): CodexReading {
  const closed = Object.keys(state.asks).map((pendingId): Update => ({ type: "resolved", pendingId }));
  const lastTurn = asText(turn["id"]) ?? "";
  const left = without(state, "turn", "failure", "stopping", "later");
  const after: CodexState = { ...left, asks: {}, changes: {}, lastTurn, rest: restOf(state, turn) };
  const clean = state.stopping === true ? cleanLines(after) : { state: after, lines: [] };
  const next = state.later === undefined ? { state: clean.state, lines: [] } : inputLines(clean.state, state.later);
  const settled = settle(next.state);
  const updates = [...closed, ...failureOf(state, after), ...settled.updates];
  return { state: settled.state, updates, writes: [...clean.lines, ...next.lines] };
}

type Rest = NonNullable<CodexState["rest"]>;

function restOf({ failure }: CodexState, turn: Message): Rest {
  if (turn["status"] === "interrupted") return { status: "idle", reason: "interrupted" };
  if (turn["status"] !== "failed") return { status: "idle" };
  const given = asRecord(turn["error"])["message"];
  return { status: "error", reason: given === undefined ? (failure ?? "The turn failed.") : textOf(given) };
}

/** The error that the turn failed with, unless it was told before. */
function failureOf({ failure }: CodexState, { rest }: CodexState): Update[] {
  const message = rest?.status === "error" ? rest.reason : undefined;
  return message === undefined || message === failure ? [] : [{ type: "error", message }];
}

/** It is at rest, unless input of ours is on its way that may begin another turn. */
function settle(state: CodexState): CodexReading {
  const owed = Object.values(state.calls).some(({ kind }) => kind === "turn");
  if (state.rest === undefined || owed || state.turn !== undefined) return nothing(state);
  return told(without(state, "rest"), { type: "status", source: "protocol", ...state.rest });
}

/** An error's text. The model server's own answer comes as JSON in it. */
function textOf(value: unknown): string {
  const text = asText(value) ?? JSON.stringify(value) ?? "unknown error";
  return asText(asRecord(parseLine(text)?.["error"])["message"]) ?? text;
}
