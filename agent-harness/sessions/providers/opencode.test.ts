import { describe, expect, it } from "vitest";
import { printed, readFixture, replay, startRequest, told } from "../../testing/replay.ts";
import type { Pending, Update } from "../session.ts";
import { opencode } from "./opencode.ts";

const way = opencode.ways.headless;
const start = (task: string) => startRequest("headless", { task });
const toldOf = (...lines: (object | string)[]): string[] =>
  told(replay(way, startRequest("headless"), printed(...lines)).updates);

const event = (type: string, properties: object) => ({ id: "evt_1", type, properties });
const status = (type: string, more: object = {}, sessionID = "ses_1") =>
  event("session.status", { sessionID, status: { type, ...more } });
const user = (id: string) => event("message.updated", { info: { id, sessionID: "ses_1", role: "user" } });
const snapshot = (more: object) =>
  event("bridge.snapshot", {
    session: "ses_1",
    settled: false,
    taken: 0,
    status: { type: "idle" },
    permissions: [],
    questions: [],
    messages: [],
    ...more,
  });
const asking = (id: string, sessionID = "ses_1") => ({
  id,
  sessionID,
  permission: "bash",
  patterns: ["ls"],
  always: ["ls *"],
  metadata: { command: "ls" },
});
const pendings = (updates: readonly Update[]): Pending[] =>
  updates.flatMap((one) => (one.type === "pending" ? [one.pending] : []));

describe("recorded journals of opencode", () => {
  it("a permission that is allowed, another that is denied", () => {
    const { updates } = replay(way, start("Touch."), readFixture("opencode/permission.jsonl"));
    expect(told(updates)).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Touch.",
        "bash begins",
        "asks: touch asked-1.txt",
        "asks no more",
        "bash ends",
        "assistant: After 2.",
        "idle",
        "processing",
        "user: Touch another.",
        "asks: touch asked-3.txt",
        "bash begins",
        "asks no more",
        "bash failed",
        "idle",
      ]
    `);
    expect(pendings(updates)[0]).toMatchObject({
      id: expect.stringMatching(/^per_/),
      kind: "permission",
      options: [{ id: "allow" }, { id: "allow_always", description: "touch *" }, { id: "deny" }],
    });
  });

  it("a subagent's permission, and a turn that is interrupted while it is asked for", () => {
    const { updates } = replay(way, start("Delegate."), readFixture("opencode/subagent-interrupt.jsonl"));
    expect(told(updates)).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Delegate.",
        "task begins",
        "bash begins",
        "asks: touch sub.txt",
        "task failed",
        "asks no more",
        "idle",
        "bash failed",
        "processing",
        "user: Go on.",
        "assistant: Again.",
        "idle",
      ]
    `);
  });

  it("an error that is final, and one after which opencode asks again", () => {
    const { updates } = replay(way, start("Fail."), readFixture("opencode/errors.jsonl"));
    expect(told(updates)).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Fail.",
        "error: no such thing",
        "error (no such thing)",
        "processing",
        "user: Once more.",
        "processing (retry 1: slow down)",
        "assistant: Well.",
        "idle",
      ]
    `);
  });

  it("a question", () => {
    const { updates } = replay(way, start("Ask."), readFixture("opencode/question.jsonl"));
    expect(told(updates)).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Ask.",
        "asks: Which database?",
        "question begins",
        "asks no more",
        "question ends",
        "assistant: So be it.",
        "idle",
      ]
    `);
  });
});

describe("ugly streams of opencode", () => {
  it("tells once that it is at rest, however often opencode does", () => {
    const idle = [status("idle"), event("session.idle", { sessionID: "ses_1" }), status("idle")];
    expect(toldOf(user("msg_1"), status("busy"), status("busy"), ...idle)).toEqual(["processing", "idle"]);
  });

  it("does not take idle for the end of a prompt that has not begun", () => {
    expect(toldOf(user("msg_1"), status("idle"))).toEqual(["processing"]);
    const given = way.input(replay(way, start("One."), printed(event("bridge.started", {}))).state, "Two.");
    const { updates } = way.read(given.state, { n: 9, at: 9, from: "stdout", line: JSON.stringify(snapshot({})) });
    expect(updates).toEqual([]);
  });

  it("ends an interrupted turn, though the prompt after it is given already", () => {
    const before = replay(way, start("One."), printed(event("bridge.started", {}), user("msg_1"), status("busy")));
    const { state } = way.input(before.state, "Two.");
    const read = (from: typeof state, ...lines: object[]) =>
      printed(...lines).reduce(
        (sofar, record) => {
          const { state: after, updates } = way.read(sofar.state, record);
          return { state: after, lines: [...sofar.lines, ...told(updates)] };
        },
        { state: from, lines: [] as string[] },
      );
    const settled = read(state, snapshot({ settled: true, taken: 1 }));
    expect(settled.lines).toEqual([]);
    expect(read(settled.state, user("msg_2"), status("busy"), status("idle")).lines).toEqual(["processing", "idle"]);
    expect(read(before.state, snapshot({ settled: true, taken: 1 })).lines).toEqual(["idle"]);
  });

  it("has failed when nothing more comes after an error, and at the end of the turn when work goes on", () => {
    const error = event("session.error", { sessionID: "ses_1", error: { name: "APIError", data: { message: "no" } } });
    expect(toldOf(user("msg_1"), error)).toEqual(["processing", "error: no", "error (no)"]);
    expect(toldOf(user("msg_1"), status("busy"), error)).toEqual(["processing"]);
    expect(toldOf(user("msg_1"), status("busy"), error, status("idle"), status("idle"))).toEqual([
      "processing",
      "error: no",
      "error (no)",
    ]);
  });

  it("goes by the session, not by its subagents", () => {
    const child = event("session.created", { info: { id: "ses_2", parentID: "ses_1" } });
    const words = { id: "prt_1", messageID: "msg_9", sessionID: "ses_2", type: "text", text: "Sub.", time: { end: 1 } };
    expect(
      toldOf(
        user("msg_1"),
        status("busy"),
        child,
        event("message.part.updated", { part: words }),
        event("permission.asked", asking("per_1", "ses_2")),
        status("idle", {}, "ses_2"),
      ),
    ).toEqual(["processing", "asks: ls"]);
  });

  it("takes a message that is called completed before its texts came for what it is: under way", () => {
    const part = { messageID: "msg_2", sessionID: "ses_1" };
    const info = {
      id: "msg_2",
      role: "assistant",
      sessionID: "ses_1",
      time: { created: 5, completed: 9 },
      finish: "stop",
    };
    const completed = event("message.updated", { info });
    const words = (id: string, text: string) =>
      event("message.part.updated", { part: { ...part, id, type: "text", text, time: { start: 5, end: 6 } } });
    const finished = event("message.part.updated", {
      part: { ...part, id: "prt_9", type: "step-finish", reason: "stop" },
    });
    const early = [user("msg_1"), status("busy"), completed, words("prt_2", "One."), completed, words("prt_3", "Two.")];
    const whole = ["processing", "assistant: One.\n\nTwo.", "idle"];
    expect(toldOf(...early, finished, completed, completed, status("idle"))).toEqual(whole);
    // Interrupted, its step has no end.
    expect(toldOf(...early, status("idle"))).toEqual(whole);
  });

  it("learns after a lost connection what was asked and said, and what is not asked any more", () => {
    const message = {
      info: { id: "msg_2", role: "assistant", sessionID: "ses_1", time: { created: 5, completed: 6 }, finish: "stop" },
      parts: [
        { id: "prt_2", messageID: "msg_2", sessionID: "ses_1", type: "text", text: "Said.", time: { end: 6 } },
        { id: "prt_3", messageID: "msg_2", sessionID: "ses_1", type: "step-finish", reason: "stop" },
      ],
    };
    const busy = { status: { type: "busy" }, permissions: [asking("per_1")] };
    const again = snapshot({ messages: [message] });
    expect(toldOf(user("msg_1"), status("busy"), snapshot(busy), snapshot(busy), again, again)).toEqual([
      "processing",
      "asks: ls",
      "assistant: Said.",
      "asks no more",
      "idle",
    ]);
  });

  it("tells what opencode did not take; an answer that comes too late is no error", () => {
    const refused = (properties: object) => event("bridge.refused", properties);
    const prompt = refused({ do: "prompt", id: "p1", status: 400, message: "no such model" });
    expect(told(replay(way, start("Do."), printed(event("bridge.started", {}), prompt)).updates)).toEqual([
      "error: opencode refused: no such model",
      "error (opencode refused: no such model)",
    ]);
    const late = refused({ do: "reply", id: "per_1", status: 404, message: "not found" });
    expect(toldOf(event("permission.asked", asking("per_1")), late)).toEqual(["asks: ls", "asks no more"]);
  });

  it("says why there is no server", () => {
    expect(toldOf(event("bridge.failed", { message: "opencode serve ended with exit code 1." })).at(-1)).toBe(
      "error (opencode serve ended with exit code 1.)",
    );
  });

  it("passes over what is no JSON, and keeps what it does not know", () => {
    expect(
      toldOf("Warning", "{broken", { type: "toString" }, event("session.dreams", {}), event("lsp.updated", {})),
    ).toEqual(["unknown", "unknown"]);
    expect(toldOf({ type: "message.updated" }, { type: "permission.replied" }, { type: "session.error" }).at(-1)).toBe(
      "error (Error)",
    );
  });
});

describe("answers for opencode", () => {
  const asked = (properties: object, type: string) => {
    const { state, updates } = replay(way, startRequest("headless"), printed(event(type, properties)));
    const [pending] = pendings(updates);
    if (pending === undefined) throw new Error("It asks nothing.");
    return { state, pending };
  };

  it("are decisions for a permission", () => {
    const { state, pending } = asked(asking("per_1"), "permission.asked");
    const said = (decision: "allow" | "allow_always" | "deny", message?: string) =>
      way.respond(state, pending, { decision, ...(message === undefined ? {} : { message }) })?.delivery;
    expect(said("allow")).toEqual({ lines: ['{"do":"reply","id":"per_1","reply":"once"}'] });
    expect(said("allow_always")).toEqual({ lines: ['{"do":"reply","id":"per_1","reply":"always"}'] });
    expect(said("deny", "Use cat.")).toEqual({
      lines: ['{"do":"reply","id":"per_1","reply":"reject","message":"Use cat."}'],
    });
    expect(way.respond({ ...state, asked: [] }, pending, { decision: "allow" })).toBeUndefined();
  });

  it("are texts by question, header or place for questions", () => {
    const questions = [
      { question: "Which?", header: "A", custom: false, options: [{ label: "a", description: "first" }] },
      { question: "Any?", header: "B", multiple: true, options: [] },
      { question: "More?", header: "C", options: [] },
    ];
    const { state, pending } = asked({ id: "que_1", sessionID: "ses_1", questions }, "question.asked");
    expect(pending).toMatchObject({ kind: "question", title: "Which? / Any? / More?", options: [{ id: "a" }] });
    const option = { id: "a", label: "a", description: "first" };
    const base = { multiSelect: false, freeText: true, required: true, options: [] };
    expect(pending.questions).toEqual([
      { ...base, id: "1", header: "A", question: "Which?", options: [option], freeText: false },
      { ...base, id: "2", header: "B", question: "Any?", multiSelect: true },
      { ...base, id: "3", header: "C", question: "More?" },
    ]);
    expect(way.respond(state, pending, { answers: { "Which?": "a", B: ["x", "y"], 3: "z" } })?.delivery).toEqual({
      lines: ['{"do":"answer","id":"que_1","answers":[["a"],["x","y"],["z"]]}'],
    });
  });
});

describe("what is started for opencode", () => {
  const planned = (changes: Parameters<typeof startRequest>[1] = {}) => {
    const { keeper, files } = opencode.ways.tmux.plan(startRequest("tmux", changes));
    const config = JSON.parse(keeper.backend?.env["OPENCODE_CONFIG_CONTENT"] ?? "") as Record<string, unknown>;
    return { keeper, files, config };
  };

  it("has the bridge beside the terminal, with a database of its own and the person's login", () => {
    const { keeper, files } = planned({ resume: "ses_1", task: "Secret task." });
    expect(keeper.backend?.argv.slice(-1)).toEqual(["/home/agent/s/opencode-bridge.json"]);
    expect(keeper.backend?.env).toMatchObject({ OPENCODE_DB: "/home/agent/s/opencode.db", HOME: "/home/agent/home" });
    expect(keeper.terminal?.argv.slice(2)).toEqual(["/home/agent/s/opencode-server", "/home/agent/work", "opencode"]);
    expect(JSON.parse("text" in (files[0] ?? {}) ? (files[0] as { text: string }).text : "")).toMatchObject({
      argv: ["opencode"],
      resume: "ses_1",
    });
    expect(JSON.stringify(files)).not.toContain("Secret task.");
  });

  it("asks for what changes something, as far as it was told to", () => {
    expect(planned({ permissions: "all" }).config["permission"]).toEqual({ "*": "allow" });
    expect(planned({ permissions: "edits" }).config["permission"]).toMatchObject({
      "*": "ask",
      edit: "allow",
      bash: "ask",
    });
    expect(planned({ permissions: "ask" }).config["permission"]).toMatchObject({
      edit: "ask",
      bash: "ask",
      glob: "allow",
    });
  });

  it("gives it model, model server and instructions by its settings", () => {
    const { config, files } = planned({
      model: "big",
      instructions: "Be kind.",
      settings: { extraArgs: [], modelUrl: "http://127.0.0.1:8099/v1", modelKey: "k" },
    });
    expect(config).toMatchObject({
      model: "harness/big",
      instructions: ["/home/agent/s/instructions.md"],
      provider: { harness: { options: { baseURL: "http://127.0.0.1:8099/v1", apiKey: "k" } } },
    });
    expect(files.at(-1)).toEqual({ path: "/home/agent/s/instructions.md", text: "Be kind." });
    expect(planned({ model: "anthropic/claude" }).config).toMatchObject({ model: "anthropic/claude" });
  });
});
