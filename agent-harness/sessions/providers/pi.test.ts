import { describe, expect, it } from "vitest";
import { printed, readFixture, replay, startRequest, told } from "../../testing/replay.ts";
import { pi } from "./pi.ts";

const way = pi.ways.headless;
const fresh = startRequest("headless");
/** What is told of records of a session that has done nothing yet. */
const toldOf = (...lines: (object | string)[]): string[] => told(replay(way, fresh, printed(...lines)).updates);

const assistant = (stopReason: string, text: string, more: object = {}) => ({
  role: "assistant",
  content: [{ type: "text", text }],
  stopReason,
  timestamp: 1_800_000_000_000,
  ...more,
});
const state = (data: object) => ({ type: "response", id: "settle", command: "get_state", success: true, data });
const atRest = state({ isStreaming: false, isCompacting: false, sessionId: "s-1", sessionFile: "/s-1.jsonl" });

describe("recorded journals of pi", () => {
  it.each(["headless", "tmux"] as const)("%s: a task with a tool and a follow-up", (runIn) => {
    const records = readFixture(`pi/${runIn}-task.jsonl`);
    const { updates } = replay(pi.ways[runIn], startRequest(runIn, { task: "Make a file." }), records);
    expect(told(updates)).toEqual([
      "processing",
      "user: Make a file.",
      "bash begins",
      "bash ends",
      "assistant: Made.",
      "idle",
      "processing",
      "user: And again.",
      "assistant: Again.",
      "idle",
    ]);
    expect(updates.filter(({ type }) => type === "provider_session")).toMatchObject([
      { id: expect.stringMatching(/^[0-9a-f-]{36}$/), file: expect.stringContaining("/home/agent/s/pi-sessions/") },
    ]);
  });

  it.each(["headless", "tmux"] as const)("%s: a turn that is interrupted in mid-tool", (runIn) => {
    const records = readFixture(`pi/${runIn}-interrupt.jsonl`);
    const { updates } = replay(pi.ways[runIn], startRequest(runIn, { task: "Wait long." }), records);
    expect(told(updates)).toEqual([
      "processing",
      "user: Wait long.",
      "bash begins",
      "bash failed",
      "idle (interrupted)",
      "processing",
      "user: Go on.",
      "assistant: Here again.",
      "idle",
    ]);
  });

  it.each(["headless", "tmux"] as const)("%s: an error that is final, errors after which pi asks again", (runIn) => {
    const records = readFixture(`pi/${runIn}-errors.jsonl`);
    const { updates } = replay(pi.ways[runIn], startRequest(runIn, { task: "Fail." }), records);
    const lines = told(updates);
    expect(lines.slice(0, 4)).toEqual([
      "processing",
      "user: Fail.",
      "error: 400 no such thing",
      "error (400 no such thing)",
    ]);
    const retried = lines.slice(4).filter((line) => !line.startsWith("processing"));
    expect(retried).toEqual(["user: Once more.", "assistant: Well.", "idle"]);
  });

  it("goes by the session log alone when the extension does not speak", () => {
    const records = readFixture("pi/tmux-task.jsonl").filter(({ from }) => from === "file" || from === "started");
    const { updates } = replay(pi.ways.tmux, startRequest("tmux"), records);
    expect(told(updates).slice(0, 6)).toEqual([
      "user: Make a file.",
      "processing",
      "processing",
      "assistant: Made.",
      "idle",
      "user: And again.",
    ]);
    const sources = updates.flatMap((one) => (one.type === "status" ? [one.source] : []));
    expect(new Set(sources)).toEqual(new Set(["session_log"]));
  });
});

describe("ugly streams of pi", () => {
  const turn = [{ type: "agent_start" }, { type: "message_end", message: assistant("toolUse", "Let me look.") }];

  it("is not at rest after a message that calls a tool", () => {
    expect(toldOf(...turn)).toEqual(["processing", "assistant: Let me look."]);
  });

  it("is not at rest at an agent_end after which pi compacts or asks again", () => {
    const end = { type: "agent_end", messages: [assistant("stop", "So.")] };
    expect(toldOf({ type: "agent_start" }, end)).toEqual(["processing"]);
    expect(toldOf({ type: "agent_start" }, end, { type: "compaction_start" }, atRest)).toEqual(["processing"]);
    expect(toldOf({ type: "agent_start" }, end, state({ isStreaming: false, isCompacting: true }))).toEqual([
      "processing",
    ]);
    expect(toldOf({ type: "agent_start" }, end, atRest)).toEqual(["processing", "idle"]);
  });

  it("believes pi when it says that it has settled, and asks for no state when another try is said to come", () => {
    const end = { type: "agent_end", willRetry: true, messages: [assistant("error", "", { errorMessage: "503" })] };
    expect(replay(way, fresh, printed({ type: "agent_start" }, end)).writes).toEqual([]);
    expect(toldOf({ type: "agent_start" }, { type: "agent_end", messages: [] }, { type: "agent_settled" })).toEqual([
      "processing",
      "idle",
    ]);
    expect(toldOf({ type: "agent_start" }, { type: "agent_settled", aborted: true })).toEqual([
      "processing",
      "idle (interrupted)",
    ]);
  });

  it("has failed when the last try has, and says so once", () => {
    const failed = { type: "agent_end", messages: [assistant("error", "", { errorMessage: "529 overloaded" })] };
    const start = { type: "auto_retry_start", attempt: 1, maxAttempts: 1, errorMessage: "529 overloaded" };
    const end = { type: "auto_retry_end", success: false, attempt: 1, finalError: "529 overloaded" };
    expect(
      toldOf({ type: "agent_start" }, failed, start, atRest, { type: "agent_start" }, failed, end, atRest, atRest),
    ).toEqual([
      "processing",
      "processing (retry 1 of 1: 529 overloaded)",
      "processing",
      "error: 529 overloaded",
      "error (529 overloaded)",
    ]);
  });

  it("is at rest, not failed, when the person interrupts the wait for another try", () => {
    const failed = { type: "agent_end", messages: [assistant("error", "", { errorMessage: "529" })] };
    const start = { type: "auto_retry_start", attempt: 1, maxAttempts: 3, errorMessage: "529" };
    const end = { type: "auto_retry_end", success: false, attempt: 1, finalError: "Retry cancelled" };
    expect(toldOf({ type: "agent_start" }, failed, start, end, atRest).at(-1)).toBe("idle (interrupted)");
  });

  it("does not take a rest from before for the end of a prompt that pi has not taken", () => {
    const asked = replay(way, startRequest("headless", { task: "Do." }), [
      { n: 1, at: 1, from: "started", pid: 1, argv: ["pi"] },
      ...printed(atRest),
    ]);
    expect(told(asked.updates)).toEqual([]);
    const refused = { type: "response", id: "p1", command: "prompt", success: false, error: "No API key" };
    const records = [{ n: 1, at: 1, from: "started" as const, pid: 1, argv: ["pi"] }, ...printed(refused)];
    expect(told(replay(way, startRequest("headless", { task: "Do." }), records).updates)).toEqual([
      "error: No API key",
      "error (No API key)",
    ]);
  });

  it("passes over what is no JSON, and keeps what it does not know", () => {
    expect(toldOf("Warning: something", "{broken", "", '{"type":"constructor"}', { type: "news" })).toEqual([
      "unknown",
      "unknown",
    ]);
    expect(
      toldOf({ type: "message_update", message: {} }, { type: "message_end" }, { type: "tool_execution_end" }),
    ).toEqual([" ends"]);
  });
});

describe("dialogs of pi's extensions", () => {
  const request = { type: "extension_ui_request", id: "d-1", method: "select", title: "Which?", options: ["a", "b"] };

  it("become questions, and are answered in their own way", () => {
    const { state: now, updates } = replay(way, fresh, printed(request));
    const [asked] = updates;
    if (asked?.type !== "pending") throw new Error("It asks nothing.");
    expect(asked.pending).toMatchObject({
      id: "d-1",
      kind: "question",
      title: "Which?",
      options: [{ id: "a" }, { id: "b" }],
      questions: [{ id: "1", question: "Which?", options: [{ id: "a" }, { id: "b" }], freeText: false }],
    });
    const line = JSON.stringify({ type: "extension_ui_response", id: "d-1", value: "b" });
    for (const answers of [{ "Which?": "b" }, { 1: "B" }, { "Which?": ["b"] }] as const) {
      const given = Object.fromEntries(Object.entries(answers).map(([key, value]) => [key, [value].flat()]));
      expect(way.respond(now, asked.pending, { answers: given })?.delivery).toEqual({ lines: [line] });
    }
    expect(told(way.read(now, { n: 2, at: 2, from: "stdin", key: "k", line }).updates)).toEqual(["asks no more"]);
    expect(pi.ways.tmux.respond(now, asked.pending, { answers: {} })).toBeUndefined();
  });

  it("a confirmation is a yes or a no", () => {
    const { state: now, updates } = replay(
      way,
      fresh,
      printed({ ...request, method: "confirm", options: undefined, message: "All?" }),
    );
    const [asked] = updates;
    if (asked?.type !== "pending") throw new Error("It asks nothing.");
    expect(asked.pending).toMatchObject({ title: "Which?: All?", options: [{ id: "yes" }, { id: "no" }] });
    const said = (answer: string) => way.respond(now, asked.pending, { answers: { 1: answer } })?.delivery;
    expect(said("yes")).toEqual({ lines: ['{"type":"extension_ui_response","id":"d-1","confirmed":true}'] });
    expect(said("no")).toEqual({ lines: ['{"type":"extension_ui_response","id":"d-1","confirmed":false}'] });
  });
});

describe("what is started for pi", () => {
  it("gives it model, model server, instructions and session by its own options, and no task on the command line", () => {
    const { keeper, files } = way.plan(
      startRequest("headless", {
        task: "Do it.",
        model: "big",
        instructions: "Be kind.",
        resume: "s-1",
        settings: {
          command: "/opt/pi",
          extraArgs: ["--thinking", "low"],
          modelUrl: "http://127.0.0.1:8099",
          modelKey: "k",
        },
      }),
    );
    expect(keeper.backend?.argv).toEqual([
      ...["/opt/pi", "--mode", "rpc", "--session-dir", "/home/agent/s/pi-sessions", "--session", "s-1"],
      ...["--append-system-prompt", "/home/agent/s/instructions.md", "--provider", "harness", "--model", "big"],
      ...["--thinking", "low"],
    ]);
    expect(keeper.backend?.env).toMatchObject({ PI_CODING_AGENT_DIR: "/home/agent/s/pi-home", PATH: "/usr/bin" });
    expect(files.map(({ path }) => path)).toEqual([
      "/home/agent/s/instructions.md",
      "/home/agent/s/pi-home/models.json",
    ]);
    expect(JSON.stringify(files)).toContain("http://127.0.0.1:8099/v1");
  });

  it("leaves the person's own settings and login where they are without a model server", () => {
    const { keeper, files } = way.plan(startRequest("headless", { model: "anthropic/claude" }));
    expect(files).toEqual([]);
    expect(keeper.backend?.env["PI_CODING_AGENT_DIR"]).toBeUndefined();
    expect(keeper.backend?.argv).toContain("anthropic/claude");
  });
});
