import { describe, expect, it } from "vitest";
import { began, busy, command, connected, ended, news, startedRecord, Told, thread } from "../../testing/codex-told.ts";
import { printed, readFixture, startRequest, told } from "../../testing/replay.ts";
import type { StartRequest } from "../provider.ts";
import type { RunWay } from "../session.ts";

describe("recorded journals of codex", () => {
  const recorded = (name: string, start: Partial<StartRequest>, runIn: RunWay = "headless"): string[] => {
    const session = new Told(startRequest(runIn, { model: "scripted", ...start }));
    const lines = session.read(...readFixture(`codex/${name}.jsonl`));
    expect(session.owed).toEqual([]);
    const ids = session.updates.flatMap((one) => (one.type === "message" ? [one.message.id] : []));
    expect(new Set(ids).size).toBe(ids.length);
    return lines;
  };

  it("a permission that is given, another that is not", () => {
    expect(recorded("headless-permission", { task: "Make a file.", instructions: "Be brief." })).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Make a file.",
        "shell begins",
        "asks: /bin/bash -lc 'echo 1 >> made.txt'",
        "asks no more",
        "processing",
        "shell ends",
        "assistant: Made.",
        "idle",
        "processing",
        "user: Again.",
        "shell begins",
        "asks: /bin/bash -lc 'echo 3 >> made.txt'",
        "asks no more",
        "processing",
        "shell failed",
        "assistant: Made.",
        "idle",
      ]
    `);
  });

  it("a turn that is interrupted in mid-tool, and the one after it", () => {
    expect(recorded("headless-interrupt", { task: "Wait long.", permissions: "all" })).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Wait long.",
        "shell begins",
        "idle (interrupted)",
        "shell failed",
        "processing",
        "user: Go on.",
        "assistant: Here again.",
        "idle",
      ]
    `);
  });

  it("an error after which codex asks again, and one that is final", () => {
    expect(recorded("headless-errors", { task: "Fail.", permissions: "all" })).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Fail.",
        "processing (Reconnecting... 1/5 exceeded retry limit, last status: 429 Too Many Requests)",
        "error: no such thing",
        "error (no such thing)",
        "processing",
        "user: Once more.",
        "assistant: Well.",
        "idle",
      ]
    `);
  });

  it("a question", () => {
    expect(recorded("headless-question", { task: "Ask.", permissions: "all" })).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Ask.",
        "asks: Which database?",
        "asks no more",
        "processing",
        "assistant: Good.",
        "idle",
      ]
    `);
  });

  it("a change of files that is shown before it is made", () => {
    expect(recorded("tmux-patch", { task: "Patch." }, "tmux")).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Patch.",
        "apply_patch begins",
        "asks: Change /home/agent/work/new.txt",
        "asks no more",
        "processing",
        "apply_patch ends",
        "assistant: Done.",
        "idle",
      ]
    `);
  });

  it("a person who types and answers in the terminal, where codex has threads of its own beside", () => {
    expect(recorded("tmux-person", { task: "Say welcome." }, "tmux")).toMatchInlineSnapshot(`
      [
        "processing",
        "user: Say welcome.",
        "assistant: Welcome.",
        "idle",
        "processing",
        "user: Make a file.",
        "shell begins",
        "asks: /bin/bash -lc 'echo made > made.txt'",
        "asks no more",
        "processing",
        "shell ends",
        "assistant: Made.",
        "idle",
      ]
    `);
  });
});

describe("ugly streams of codex", () => {
  it("is at rest only when no input is on its way, whichever turn takes it", () => {
    const joined = busy();
    joined.input("And this.");
    expect(joined.read(...printed(ended("u1")))).toEqual([]);
    expect(joined.read(...printed({ id: 4, result: { turn: { id: "u1" } } }))).toEqual(["idle"]);

    const another = busy();
    another.input("And this.");
    expect(another.read(...printed(ended("u1"), { id: 4, result: { turn: { id: "u2" } } }))).toEqual([]);
    expect(another.read(...printed(began("u2"), ended("u2")))).toEqual(["processing", "idle"]);
  });

  it("gives input after a turn that cannot be joined", () => {
    const session = busy();
    session.input("First.");
    session.input("Second.");
    const refusal = { code: -32600, message: "active turn is not steerable" };
    expect(session.read(...printed({ id: 4, error: refusal }, { id: 5, error: refusal }))).toEqual([]);
    expect(session.read(...printed(ended("u1")))).toEqual([]);
    expect(session.owed.at(-1)).toContain(String.raw`"text":"First.\n\nSecond."`);
    expect(session.read(...printed({ id: 6, result: { turn: { id: "u2" } } }, began("u2"), ended("u2")))).toEqual([
      "processing",
      "idle",
    ]);
  });

  it("tells that input was not taken", () => {
    const session = busy();
    session.read(...printed(ended("u1")));
    session.input("More.");
    const lines = session.read(...printed({ id: 4, error: { code: -32600, message: "thread not found" } }));
    const message = "codex did not take the input: thread not found";
    expect(lines).toEqual([`error: ${message}`, `error (${message})`]);
  });

  it("takes no error for one after which codex tries again, and tells a final one once", () => {
    const retry = { error: { message: "Reconnecting... 1/5", additionalDetails: "HTTP 500" }, willRetry: true };
    const final = { error: { message: '{"error":{"message":"no such model"}}' }, willRetry: false };
    expect(
      busy().read(...printed(news("error", retry), news("error", final), ended("u1", "failed", final.error))),
    ).toEqual(["processing (Reconnecting... 1/5 HTTP 500)", "error: no such model", "error (no such model)"]);
    expect(busy().read(...printed(ended("u1", "failed", { message: "too long" })))).toEqual([
      "error: too long",
      "error (too long)",
    ]);
    expect(busy().read(...printed(ended("u1", "failed")))).toEqual([
      "error: The turn failed.",
      "error (The turn failed.)",
    ]);
  });

  it("gives each request an id of its own, also when codex begins to count anew, and forgets it with the turn", () => {
    const session = busy();
    const [first, second] = printed(command(0), command(0));
    if (first === undefined || second === undefined) throw new Error("no records");
    session.read({ ...first, n: 41 }, { ...second, n: 42 });
    expect(session.updates.filter(({ type }) => type === "pending")).toHaveLength(1);
    const pending = session.pending();
    expect(pending.id).toBe("ask-41");
    expect(session.read(...printed(ended("u1", "interrupted")))).toEqual(["asks no more", "idle (interrupted)"]);
    expect(session.canRespond(pending, { decision: "allow" })).toBe(false);
    session.read(...printed(began("u2")), { ...first, n: 90 });
    expect(session.pending().id).toBe("ask-90");
    expect(session.respond({ decision: "allow" })).toEqual([{ id: 0, result: { decision: "accept" } }]);
  });

  it("waits for all that is asked", () => {
    const session = busy();
    const resolved = (requestId: number) => news("serverRequest/resolved", { requestId });
    expect(session.read(...printed(command(0), command(1, { command: "pwd" }), resolved(1), resolved(0)))).toEqual([
      "asks: ls",
      "asks: pwd",
      "asks no more",
      "asks no more",
      "processing",
    ]);
  });

  it("refuses what it cannot answer, so that codex does not wait, unless its terminal program can", () => {
    const unknown = { method: "attestation/generate", id: 7, params: {} };
    const alone = busy();
    expect(alone.read(...printed(unknown))).toEqual(["unknown"]);
    expect(alone.owed.at(-1)).toContain('"id":7,"error"');
    const shared = busy("tmux");
    expect(shared.read(...printed(unknown))).toEqual(["unknown"]);
    expect(shared.owed.at(-1)).not.toContain('"id":7');
  });

  it("goes on after a lost connection with what is still asked, and drops what was answered meanwhile", () => {
    const session = busy("tmux");
    session.read(...printed(command(0)));
    session.owed = [];
    const lost = expect.stringContaining("error: The connection to codex was lost");
    expect(session.read(...printed({ method: "bridge/disconnected", params: {} }, connected(2)))).toEqual([lost]);
    expect(session.owed.map((line) => (JSON.parse(line) as { method: string }).method)).toEqual([
      "initialize",
      "initialized",
      "thread/resume",
    ]);
    const asks = thread("active", { activeFlags: ["waitingOnApproval"] });
    expect(session.read(...printed({ id: 5, result: asks }, command(0)))).toEqual([]);
    expect(session.respond({ decision: "allow" })).toEqual([{ id: 0, result: { decision: "accept" } }]);
    expect(session.read(...printed(news("serverRequest/resolved", { requestId: 0 })))).toEqual([
      "asks no more",
      "processing",
    ]);
    session.read(...printed(command(1), connected(3)));
    expect(session.read(...printed({ id: 7, result: thread("idle") }))).toEqual(["asks no more", "idle"]);
  });

  it("passes over what is not about the session, keeps what it does not know, and throws at nothing", () => {
    const session = busy();
    const other = { ...ended("x"), params: { threadId: "t9", turn: { id: "x", status: "completed" } } };
    expect(session.read(...printed(other, news("account/updated"), { id: 99, result: {} }, ""))).toEqual([]);
    const odd = [
      ...["not json", "{", "[]", "null", "{}", '{"method":7}', '{"method":"constructor"}', '{"id":"toString"}'],
      ...[
        news("item/completed", { item: { type: "hologram" } }),
        news("turn/completed"),
        news("error"),
        news("item/started"),
      ],
      ...[
        { method: "item/fileChange/requestApproval", id: 1 },
        { method: "mcpServer/elicitation/request", id: 2 },
      ],
    ];
    expect(() => session.read(...printed(...odd))).not.toThrow();
    expect(told(session.updates).filter((line) => line === "unknown").length).toBeGreaterThan(3);
  });

  it("names the session with its first turn: before that nobody can go on with it", () => {
    const session = new Told(startRequest("headless", { task: "Do." }));
    const named = () => session.updates.filter(({ type }) => type === "provider_session");
    session.read(startedRecord, ...printed({ id: 1, result: {} }, { id: 2, result: thread("idle") }));
    expect(named()).toEqual([]);
    session.read(...printed(began("u1"), ended("u1"), began("u2")));
    expect(named()).toEqual([{ type: "provider_session", id: "t1", file: "/log" }]);
  });

  it("says why codex did not start", () => {
    const session = new Told(startRequest("headless", { task: "Do." }));
    const stderr = (n: number, line: string) => ({ n, at: n, from: "stderr", line }) as const;
    const lines = ["\u001b[31mError\u001b[0m: config.toml: expected a value", "", "Stack backtrace:", "  0: <unknown>"];
    session.read(startedRecord, ...lines.map((line, index) => stderr(index + 2, line)));
    expect(session.read({ n: 9, at: 9, from: "exited", code: 1, signal: null })).toEqual([
      "error: codex did not start: Error: config.toml: expected a value",
    ]);
  });

  it("tries once more to open the session when there is new input", () => {
    const session = new Told(startRequest("headless", { resume: "t1" }));
    session.read(startedRecord, ...printed({ id: 1, result: {} }));
    expect(session.read(...printed({ id: 2, error: { message: "no rollout found" } }))).toEqual([
      "error: codex could not open the session: no rollout found",
      "error (no rollout found)",
    ]);
    expect(session.input("Again.")[0]).toContain('"method":"thread/resume"');
    session.read(...printed({ id: 3, result: thread("idle") }));
    expect(session.owed.at(-1)).toContain('"text":"Again."');
    expect(session.updates.at(-1)).toEqual({ type: "provider_session", id: "t1", file: "/log" });
  });
});
