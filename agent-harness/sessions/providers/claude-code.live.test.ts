import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  bash,
  claude,
  keepFixture,
  lastStatus,
  question,
  rests,
  startClaude,
  statuses,
  texts,
  unknown,
} from "../../testing/claude-code-trial.ts";
import { openModelServer, type Script } from "../../testing/model-server.ts";
import { gate, isAlive, openGate, sleeper, sleeperPid } from "../../testing/tool-process.ts";
import { runWays } from "../session.ts";

describe.skipIf(claude === undefined).each(runWays)("with the real claude, %s", (runIn) => {
  const source = runIn === "tmux" ? "hook" : "protocol";

  it("does a task with a tool that needs no leave, takes a follow-up, says who it is", async () => {
    await using server = await openModelServer({
      script: ({ count, hasToolResult }) =>
        count === 1 ? bash("echo seen; pwd") : { kind: "text", text: hasToolResult ? "Seen." : "Again." },
    });
    await using trial = await startClaude(server, {
      runIn,
      task: "-Look around.",
      model: "claude-sonnet-4-5",
      instructions: "Canary 4711: it's yours.",
    });
    await rests(trial, 1);
    const { cwd } = trial;
    expect(trial.updates.filter(({ type }) => type.startsWith("tool"))).toMatchObject([
      { type: "tool_use", tool: "Bash", input: { command: "echo seen; pwd" } },
      { type: "tool_result", tool: "Bash", output: `seen\n${cwd}`, isError: false },
    ]);
    expect(lastStatus(trial)).toMatchObject({ status: "idle", source });
    await trial.input("And again,\nwith a line; and 'quotes' – ü.");
    await rests(trial, 2);
    await trial.until("the last message", () => trial.messages().length >= 4);
    expect(texts(trial)).toEqual([
      "user: -Look around.",
      "assistant: Seen.",
      "user: And again,\nwith a line; and 'quotes' – ü.",
      "assistant: Again.",
    ]);
    expect(statuses(trial)).toEqual(["processing", "idle", "processing", "idle"]);
    const asked = JSON.stringify(server.turns()[0]?.body);
    expect(asked).toContain("Canary 4711: it's yours.");
    expect(asked).toContain("claude-sonnet-4-5");
    expect(JSON.stringify(trial.records.filter(({ from }) => from === "started"))).not.toContain("Canary");
    const who = trial.updates.filter((one) => one.type === "provider_session");
    expect(who).toHaveLength(1);
    expect(existsSync(who[0]?.file ?? "")).toBe(true);
    expect(unknown(trial)).toEqual([]);
    await keepFixture(trial, `${runIn}-task`);
  });

  it("asks for leave, is allowed once, asks again and is refused", async () => {
    await using server = await openModelServer({
      script: ({ hasToolResult, body }) =>
        hasToolResult
          ? { kind: "text", text: JSON.stringify(body).includes("Not that way.") ? "No then." : "Made." }
          : bash("echo made >> made.txt"),
    });
    await using trial = await startClaude(server, { runIn, task: "Make a file." });
    const pending = await trial.untilPending();
    expect(pending).toMatchObject({
      kind: "permission",
      title: "Bash: echo made >> made.txt",
      input: { tool: "Bash", input: { command: "echo made >> made.txt" } },
    });
    expect(pending.options.map(({ id }) => id)).toEqual(["allow", "allow_always", "deny"]);
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(false);
    await trial.respond({ decision: "allow" });
    await rests(trial, 1);
    expect(trial.pending()).toEqual([]);
    expect(readFileSync(join(trial.cwd, "made.txt"), "utf8")).toBe("made\n");
    await trial.input("Once more.");
    await trial.untilPending();
    await trial.respond({ decision: "deny", message: "Not that way." });
    await rests(trial, 2);
    expect(readFileSync(join(trial.cwd, "made.txt"), "utf8")).toBe("made\n");
    await trial.until("the last message", () => texts(trial).at(-1) === "assistant: No then.");
    expect(trial.updates.filter((one) => one.type === "tool_result")).toMatchObject([
      { isError: false },
      { output: "Not that way.", isError: true },
    ]);
    await keepFixture(trial, `${runIn}-permission`);
  });

  it("does not ask again for what was allowed for good, in this session only", async () => {
    await using server = await openModelServer({
      script: ({ hasToolResult }) =>
        hasToolResult ? { kind: "text", text: "Made." } : bash("python3 -c \"open('made.txt', 'a').write('made\\n')\""),
    });
    await using trial = await startClaude(server, { runIn, task: "Make a file." });
    await trial.untilPending();
    await trial.respond({ decision: "allow_always" });
    await rests(trial, 1);
    await trial.input("Once more.");
    await rests(trial, 2);
    expect(readFileSync(join(trial.cwd, "made.txt"), "utf8")).toBe("made\nmade\n");
    expect(existsSync(join(trial.cwd, ".claude"))).toBe(false);
  });

  it("asks the person a question and gets the answer", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? question : { kind: "text", text: "Good." }),
    });
    await using trial = await startClaude(server, { runIn, task: "Ask me." });
    const pending = await trial.untilPending();
    expect(pending).toMatchObject({
      kind: "question",
      title: "Which database?",
      options: [{ id: "Postgres", label: "Postgres", description: "a server" }, { id: "SQLite" }],
    });
    await trial.respond({ answers: { "Which database?": "SQLite" } });
    await rests(trial, 1);
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("SQLite");
    expect(trial.updates.find((one) => one.type === "tool_result")).toMatchObject({
      tool: "AskUserQuestion",
      isError: false,
    });
    await keepFixture(trial, `${runIn}-question`);
  });

  it("takes input in mid-tool and is at rest only after it", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? bash(gate) : { kind: "text", text: `Turn ${count}.` }),
    });
    await using trial = await startClaude(server, { runIn, task: "Wait.", permissions: "all" });
    await trial.until("the tool", () => trial.updates.some(({ type }) => type === "tool_use"));
    await trial.input("touch nothing else");
    await trial.until("the input", () => trial.records.some((one) => JSON.stringify(one).includes("queue")));
    openGate(trial.cwd);
    await rests(trial, 1);
    await trial.until("the message", () => trial.messages("user").length === 2);
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("touch nothing else");
    expect(statuses(trial).filter((one) => one === "idle")).toHaveLength(1);
    await keepFixture(trial, `${runIn}-steered`);
  });

  it("goes on with input that came while the model answered", async () => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    await using server = await openModelServer({
      script: async ({ count }) => {
        if (count === 1) await opened;
        return { kind: "text", text: `Turn ${count}.` };
      },
    });
    await using trial = await startClaude(server, { runIn, task: "First." });
    await trial.until("the request", () => server.turns().length === 1);
    await trial.input("Second.");
    await trial.until("the input", () => trial.records.some((one) => JSON.stringify(one).includes("queue")));
    open();
    await rests(trial, 1);
    await trial.until("both answers", () => trial.messages("assistant").length === 2);
    expect(statuses(trial).filter((one) => one === "idle")).toHaveLength(1);
    expect(statuses(trial).at(-1)).toBe("idle");
    await keepFixture(trial, `${runIn}-queued`);
  });

  it("is interrupted in mid-tool: the tool's process dies, the session goes on", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? bash(sleeper) : { kind: "text", text: "Here again." }),
    });
    await using trial = await startClaude(server, { runIn, task: "Wait long.", permissions: "all" });
    const pid = await trial.until("the tool's process", () => sleeperPid(trial.cwd));
    await trial.interrupt();
    await rests(trial, 1);
    await trial.until("the tool's end", () => !isAlive(pid));
    expect(lastStatus(trial)).toMatchObject({ status: "idle", reason: "interrupted" });
    await trial.input("Go on.");
    await trial.until("an answer", () => texts(trial).at(-1) === "assistant: Here again.");
    await rests(trial, 2);
    await keepFixture(trial, `${runIn}-interrupt`);
  });

  it("is interrupted before the model has said anything, and takes nothing of that along", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? { kind: "hang" } : { kind: "text", text: "Here." }),
    });
    await using trial = await startClaude(server, { runIn, task: "One\nTwo\nThree" });
    await trial.until("the request", () => server.turns().length === 1);
    await trial.untilStatus("processing");
    await trial.interrupt();
    await rests(trial, 1);
    expect(lastStatus(trial)).toMatchObject({ reason: "interrupted" });
    await trial.input("Only this.");
    await rests(trial, 2);
    await trial.until("the messages", () => texts(trial).at(-1) === "assistant: Here.");
    expect(texts(trial)).toContain("user: Only this.");
    await keepFixture(trial, `${runIn}-interrupt-early`);
  });

  it("is interrupted while it asks: the question is gone", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? bash("echo made > made.txt") : { kind: "text", text: "Here." }),
    });
    await using trial = await startClaude(server, { runIn, task: "Make a file." });
    const pending = await trial.untilPending();
    await trial.interrupt();
    await rests(trial, 1);
    expect(trial.pending()).toEqual([]);
    await expect(trial.respond({ decision: "allow" }, pending)).rejects.toThrow("cannot be answered");
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(false);
    await trial.input("Go on.");
    await rests(trial, 2);
    await keepFixture(trial, `${runIn}-interrupt-asking`);
  });

  it("tells an error of the model's server as an error, and goes on after it", async () => {
    let broken = true;
    const script: Script = () =>
      broken ? { kind: "error", status: 400, message: "no such thing" } : { kind: "text", text: "Well." };
    await using server = await openModelServer({ script });
    await using trial = await startClaude(server, { runIn, task: "Fail." });
    await trial.untilStatus("error");
    const errors = trial.updates.filter((one) => one.type === "error");
    expect(errors).toMatchObject([{ message: expect.stringContaining("no such thing") }]);
    expect(lastStatus(trial)).toMatchObject({ reason: expect.stringContaining("no such thing") });
    broken = false;
    await trial.input("Once more.");
    await rests(trial, 1);
    await trial.until("the message", () => texts(trial).at(-1) === "assistant: Well.");
    await keepFixture(trial, `${runIn}-error`);
  });

  it("works on while it asks again after a 429", async () => {
    let refused = 0;
    await using server = await openModelServer({
      script: () => {
        refused += 1;
        if (refused > 1) return { kind: "text", text: "Now." };
        return { kind: "error", status: 429, message: "slow down", retryAfterSeconds: 1 };
      },
    });
    await using trial = await startClaude(server, { runIn, task: "Hurry." });
    await rests(trial, 1);
    expect(new Set(statuses(trial).slice(0, -1))).toEqual(new Set(["processing"]));
    await trial.until("the message", () => texts(trial).at(-1) === "assistant: Now.");
    if (runIn === "headless") {
      const reason = expect.stringMatching(/asks the model again in \d s, attempt 1 of \d+: 429 rate_limit/);
      expect(trial.updates).toContainEqual({ type: "status", status: "processing", source: "protocol", reason });
    }
    await keepFixture(trial, `${runIn}-retry`);
  });

  it("is resumed with what was said before, with and without something to do", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "All done." }) });
    await using trial = await startClaude(server, { runIn, task: "The word is heron." });
    await rests(trial, 1);
    await trial.resume();
    await trial.untilStatus("idle");
    await trial.resume("Which word?");
    await trial.untilStatus("idle");
    await trial.until("the messages", () => trial.messages().length >= 4);
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("The word is heron.");
    expect(texts(trial)).toEqual([
      "user: The word is heron.",
      "assistant: All done.",
      "user: Which word?",
      "assistant: All done.",
    ]);
    expect(new Set(trial.updates.flatMap((one) => (one.type === "provider_session" ? [one.id] : []))).size).toBe(1);
  });
});
