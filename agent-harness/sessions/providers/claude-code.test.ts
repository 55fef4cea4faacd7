import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fixture, replay, story } from "../../testing/claude-code-replay.ts";
import { fixtureFolder } from "../../testing/claude-code-trial.ts";
import type { JournalRecord } from "../journal.ts";
import type { Update } from "../session.ts";
import { claudeCode } from "./claude-code.ts";
import { newPipeState, newTerminalState } from "./claude-code-state.ts";

/** What each recorded journal tells. */
const stories = JSON.parse(readFileSync(join(fixtureFolder, "stories.json"), "utf8")) as Record<string, string[]>;

describe("recorded journals", () => {
  it.each(Object.keys(stories))("%s", (name) => {
    expect(story(replay(fixture(name)).updates)).toEqual(stories[name]);
  });

  it.each(Object.keys(stories).filter((name) => name.startsWith("headless")))(
    "%s: the lines that are written are those that were",
    (name) => {
      const records = fixture(name);
      const { writes } = replay(records);
      const given = records.flatMap((one) => (one.from === "stdin" && /^\d+:\d+$/.test(one.key) ? [one.line] : []));
      expect(writes).toEqual(given);
      expect(given.length).toBeGreaterThan(0);
    },
  );

  it("tell the same with the keys of every line in another order", () => {
    const turned = fixture("headless-permission").map((one): JournalRecord => {
      if (one.from !== "stdout") return one;
      const entries = Object.entries(JSON.parse(one.line) as object);
      return { ...one, line: JSON.stringify(Object.fromEntries(entries.reverse())) };
    });
    expect(story(replay(turned).updates)).toEqual(stories["headless-permission"]);
  });

  it("tell the same with lines between that nobody knows, which are kept", () => {
    const records = fixture("headless-task");
    const at = records.findIndex((one) => one.from === "stdout" && one.line.includes('"tool_use"'));
    const strange = [
      "no JSON {",
      '"text"',
      "[1]",
      '{"type":"brand_new","more":1}',
      '{"type":"system","subtype":"newer"}',
      "{}",
    ];
    const added = strange.map((line, index): JournalRecord => ({ n: 1000 + index, at: 1, from: "stdout", line }));
    const { updates } = replay([...records.slice(0, at), ...added, ...records.slice(at)]);
    expect(story(updates.filter(({ type }) => type !== "unknown"))).toEqual(stories["headless-task"]);
    expect(updates.filter(({ type }) => type === "unknown")).toHaveLength(strange.length);
  });

  it("tell the same when a stream of an older version says nothing of its state and its messages", () => {
    const older = fixture("headless-task").filter(
      (one) => one.from !== "stdout" || !/session_state_changed|command_lifecycle/.test(one.line),
    );
    const told = story(replay(older).updates);
    expect(told.filter((line) => line !== "processing (protocol)")).toEqual(
      stories["headless-task"]?.filter((line) => line !== "processing (protocol)"),
    );
  });
});

/** Reads lines of the program one after the other. */
function read(lines: object[], task?: string): { updates: Update[]; writes: string[] } {
  const way = claudeCode.ways.headless;
  let state: Record<string, unknown> = newPipeState("s", { task });
  const all: { updates: Update[]; writes: string[] } = { updates: [], writes: [] };
  for (const [at, line] of lines.entries()) {
    const reading = way.read(state, { n: at + 1, at, from: "stdout", line: JSON.stringify(line) });
    state = reading.state;
    all.updates.push(...reading.updates);
    all.writes.push(...(reading.writes ?? []));
  }
  return all;
}

const running = { type: "system", subtype: "session_state_changed", state: "running" };
const idle = { ...running, state: "idle" };
const result = { type: "result", subtype: "success", is_error: false, result: "Done.", permission_denials: [] };
const last = (lines: object[]): string | undefined => story(read(lines).updates).at(-1);

describe("the end of a turn", () => {
  it("is an error when is_error says so, whatever the subtype", () => {
    const failed = { ...result, is_error: true, result: "API Error: 529", terminal_reason: "api_error" };
    expect(story(read([running, failed, idle]).updates)).toEqual([
      "processing (protocol)",
      "error: API Error: 529",
      "error (protocol): API Error: 529",
    ]);
  });

  it("is an error when the turns or the money are used up, although is_error is false", () => {
    expect(last([running, { ...result, subtype: "error_max_turns", result: undefined }, idle])).toBe(
      "error (protocol): error_max_turns",
    );
  });

  it("is no error when it was interrupted", () => {
    const stopped = {
      ...result,
      subtype: "error_during_execution",
      is_error: true,
      terminal_reason: "aborted_streaming",
    };
    expect(last([running, stopped, idle])).toBe("idle (protocol): interrupted");
  });

  it("says how many tools were denied", () => {
    expect(last([running, { ...result, permission_denials: [{}, {}] }, idle])).toBe(
      "idle (protocol): 2 tool calls were denied",
    );
  });

  it("has not come with a result when more is queued", () => {
    expect(read([{ ...result, queued_turn_count: 1 }]).updates).toEqual([]);
    expect(last([{ ...result, queued_turn_count: 0 }])).toBe("idle (protocol)");
  });

  it("leaves nothing asked", () => {
    const ask = {
      type: "control_request",
      request_id: "r1",
      request: { subtype: "can_use_tool", tool_name: "Bash", input: {} },
    };
    expect(story(read([running, ask, result, idle]).updates).slice(-2)).toEqual(["asks no more", "idle (protocol)"]);
    expect(story(read([running, ask, { type: "control_cancel_request", request_id: "r1" }]).updates).at(-1)).toBe(
      "asks no more",
    );
  });
});

describe("on pipes", () => {
  const { headless } = claudeCode.ways;

  it("a program that ends without a result says why on its standard error", () => {
    const told = headless.read(newPipeState("s", {}), { n: 1, at: 1, from: "stderr", line: "it broke" });
    const ended = headless.read(told.state, { n: 2, at: 2, from: "exited", code: 3, signal: null });
    expect(ended.updates).toEqual([{ type: "error", message: "It ended with exit code 3: it broke" }]);
    expect(headless.read(told.state, { n: 2, at: 2, from: "exited", code: 0, signal: null }).updates).toEqual([]);
  });

  it("a request that we do not know is refused, so that nothing hangs", () => {
    const { writes } = read([{ type: "control_request", request_id: "r9", request: { subtype: "mcp_message" } }]);
    expect(JSON.parse(writes[0] ?? "")).toMatchObject({ response: { subtype: "error", request_id: "r9" } });
  });

  it("messages have ids of their own in every run, and the same one when they are given again", () => {
    const first = headless.read(newPipeState("s", {}), { n: 1, at: 1, from: "started", pid: 1, argv: [] }).state;
    const second = headless.read(newPipeState("s", {}), { n: 9, at: 1, from: "started", pid: 1, argv: [] }).state;
    expect(headless.input(first, "x")).toEqual(headless.input(first, "x"));
    expect(headless.input(first, "x").delivery).not.toEqual(headless.input(second, "x").delivery);
    expect(headless.input(headless.input(first, "x").state, "x").delivery).not.toEqual(
      headless.input(first, "x").delivery,
    );
  });

  it("what is not asked any more cannot be answered, nor a permission by answers", () => {
    const ask = {
      type: "control_request",
      request_id: "r1",
      request: { subtype: "can_use_tool", tool_name: "Bash", input: {} },
    };
    const { state, updates } = headless.read(newPipeState("s", {}), {
      n: 1,
      at: 1,
      from: "stdout",
      line: JSON.stringify(ask),
    });
    const pending = updates[0]?.type === "pending" ? updates[0].pending : undefined;
    if (pending === undefined) throw new Error("nothing is pending");
    expect(headless.respond(state, pending, { decision: "deny" })).toBeDefined();
    expect(headless.respond(state, pending, { answers: {} })).toBeUndefined();
    expect(headless.respond(newPipeState("s", {}), pending, { decision: "deny" })).toBeUndefined();
  });
});

describe("in a terminal", () => {
  const { tmux } = claudeCode.ways;
  const hook = (name: string, more: object = {}, at = 10): JournalRecord => ({
    ...{ n: at, at, from: "hook" },
    data: { hook_event_name: name, session_id: "s", prompt_id: "p1", ...more },
  });
  const log = (line: object, at = 20): JournalRecord => ({
    n: at,
    at,
    from: "file",
    path: "/x/s.jsonl",
    line: JSON.stringify(line),
  });
  const tell = (...records: JournalRecord[]): string[] => {
    let state: Record<string, unknown> = newTerminalState("s", true);
    return story(
      records.flatMap((record) => {
        const reading = tmux.read(state, record);
        state = reading.state;
        return reading.updates;
      }),
    );
  };

  it("without a session log the hook for the end gives the last message", () => {
    const stop = hook("Stop", { last_assistant_message: "Gone." });
    const turn = [hook("UserPromptSubmit", { prompt: "Go." }), stop];
    expect(tell(...turn)).toEqual(["processing (hook)"]);
    const rests = hook("Notification", { notification_type: "idle_prompt" });
    expect(tell(...turn, rests)).toEqual(["processing (hook)", "assistant: Gone.", "idle (hook)"]);
  });

  it("a session log that comes late is waited for: each message once, in order", () => {
    const said = (text: string) => ({ content: [{ type: "text", text }], stop_reason: "end_turn" });
    expect(
      tell(
        hook("UserPromptSubmit", { prompt: "Go." }),
        hook("Stop", { last_assistant_message: "Gone." }),
        log({ type: "user", message: { content: "Go." }, uuid: "u1" }),
        log({ type: "assistant", message: said("Gone."), uuid: "u2" }),
      ),
    ).toEqual(["processing (hook)", "user: Go.", "assistant: Gone.", "idle (hook)"]);
  });

  it("without hooks the session log tells what it does", () => {
    expect(
      tell(
        log({ type: "user", message: { content: "Go." }, uuid: "u1" }),
        log({
          type: "assistant",
          message: { content: [{ type: "text", text: "Gone." }], stop_reason: "end_turn" },
          uuid: "u2",
        }),
        log({ type: "system", subtype: "turn_duration" }),
      ),
    ).toEqual(["user: Go.", "processing (session_log)", "assistant: Gone.", "idle (session_log)"]);
  });

  it("a late line of the turn before does not end the one that is at work", () => {
    const late = { type: "system", subtype: "turn_duration", timestamp: new Date(5).toISOString() };
    expect(tell(hook("UserPromptSubmit", {}, 10), log(late))).toEqual(["processing (hook)"]);
    const now = { ...late, timestamp: new Date(15).toISOString() };
    expect(tell(hook("UserPromptSubmit", {}, 10), log(now))).toEqual(["processing (hook)", "idle (session_log)"]);
  });

  it("a prompt that went through the queue on its way is the one that is at work", () => {
    const queue = { type: "queue-operation", timestamp: new Date(15).toISOString() };
    const stopped = { content: [{ type: "text", text: "[Request interrupted by user]" }] };
    const records = [
      { ...queue, operation: "enqueue" },
      { ...queue, operation: "dequeue" },
    ].map((line) => log(line));
    expect(tell(hook("UserPromptSubmit"), ...records, log({ type: "user", message: stopped }))).toEqual([
      "processing (hook)",
      "idle (session_log): interrupted",
    ]);
  });

  it("it rests when the prompt of the queue is done, however late the log tells of the queue", () => {
    const end = (prompt_id: string, text: string) => hook("Stop", { prompt_id, last_assistant_message: text });
    const queue = (operation: string) => log({ type: "queue-operation", operation });
    const answer = (text: string) => log({ type: "assistant", message: { content: [{ type: "text", text }] } });
    const begin = [hook("UserPromptSubmit"), log({ type: "mode" }), hook("UserPromptSubmit")];
    const expected = ["processing (hook)", "assistant: One.", "assistant: Two.", "idle (hook)"];
    const over = log({ type: "system", subtype: "turn_duration" });
    const inTime = [end("p1", "One."), answer("One."), queue("dequeue"), over, end("p2", "Two."), answer("Two."), over];
    expect(tell(...begin, ...inTime)).toEqual(expected);
    const late = [end("p1", "One."), end("p2", "Two."), answer("One."), queue("dequeue"), answer("Two."), over];
    expect(tell(...begin, ...late)).toEqual(expected);
  });

  it("a late word of a prompt before says nothing of the one that is at work", () => {
    const waits = { notification_type: "idle_prompt", prompt_id: "p0" };
    expect(tell(hook("UserPromptSubmit"), hook("Notification", waits))).toEqual(["processing (hook)"]);
    expect(tell(hook("UserPromptSubmit"), hook("Notification", { ...waits, prompt_id: "p1" })).at(-1)).toBe(
      "idle (hook)",
    );
  });

  it("the line of a model's refusal and the hook for it are one error", () => {
    const refused = { type: "assistant", isApiErrorMessage: true, message: { content: "API Error: 400" } };
    const failure = { last_assistant_message: "API Error: 400" };
    const expected = ["processing (hook)", "error: API Error: 400", "error (hook): API Error: 400"];
    expect(tell(hook("UserPromptSubmit"), hook("StopFailure", failure), log(refused))).toEqual(expected);
  });

  it("what a sub-agent says is not said by the session", () => {
    const said = { type: "assistant", isSidechain: true, message: { content: [{ type: "text", text: "x" }] } };
    expect(tell(log(said), log({ type: "nobody knows" }), { ...log({}), line: "half a li" } as JournalRecord)).toEqual(
      [],
    );
  });

  it("the input box is emptied of as many lines as may stand in it", () => {
    const submitted = tmux.read(
      newTerminalState("s", true),
      hook("UserPromptSubmit", { prompt: "one\ntwo\nthree" }),
    ).state;
    expect(tmux.input(submitted, "x").delivery).toEqual({ paste: "x", first: ["C-u", "C-u", "C-u", "C-u", "C-u"] });
  });
});
