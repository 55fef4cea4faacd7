import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findAgentCli } from "../../testing/agent-clis.ts";
import { type ModelServer, openModelServer } from "../../testing/model-server.ts";
import { openTrial, type Trial, type TrialOptions } from "../../testing/provider-trial.ts";
import { gate, isAlive, openGate, sleeper, sleeperPid } from "../../testing/tool-process.ts";
import { runWays, type Update } from "../session.ts";
import { opencode } from "./opencode.ts";

const command = findAgentCli("opencode");

const started = async (
  server: ModelServer,
  options: Partial<TrialOptions> & Pick<TrialOptions, "runIn">,
): Promise<Trial> =>
  await openTrial(opencode, {
    settings: { command: command ?? "opencode", extraArgs: [], modelUrl: server.url, modelKey: "scripted" },
    model: "scripted",
    permissions: "all",
    ...options,
  });

const text = (said: string) => ({ kind: "text" as const, text: said });
const bash = (line: string) => ({
  kind: "tool" as const,
  name: "bash",
  input: { command: line, description: "A scripted command" },
});
const texts = (trial: Trial): string[] => trial.messages().map(({ role, text: said }) => `${role}: ${said}`);
const statuses = (trial: Trial) => trial.updates.filter((one) => one.type === "status");
const results = (trial: Trial) => trial.updates.filter((one) => one.type === "tool_result");
/** Whether a request is a subagent's: its person said what its parent gave it to do. */
const isSubagent = (body: unknown): boolean =>
  (body as { messages: { role: string }[] }).messages.some(
    (message) => message.role === "user" && JSON.stringify(message).includes("Sub task."),
  );
const rests = (updates: readonly Update[]): number =>
  updates.filter((one) => one.type === "status" && one.status === "idle").length;

/** opencode takes seconds of the processor to start, twice that in a terminal; a busy machine has few to give. */
const limitMs = 100_000;
const rest = async (trial: Trial, count: number): Promise<unknown> =>
  await trial.until(`rest ${count}`, () => rests(trial.updates) === count, limitMs);
const pending = async (trial: Trial) => await trial.until("something pending", () => trial.pending()[0], limitMs);

describe.skipIf(command === undefined).each(runWays)("with the real opencode, %s", { timeout: 240_000 }, (runIn) => {
  it("does a task with a tool, takes a follow-up, says who it is", async () => {
    await using server = await openModelServer({
      script: ({ count, hasToolResult }) =>
        count === 1 ? bash("echo made > made.txt && cat made.txt") : text(hasToolResult ? "Made." : "Again."),
    });
    await using trial = await started(server, { runIn, task: "Make a file.", instructions: "Canary 4711." });
    await rest(trial, 1);
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(true);
    expect(trial.updates.filter(({ type }) => type.startsWith("tool"))).toMatchObject([
      { type: "tool_use", tool: "bash", input: { command: "echo made > made.txt && cat made.txt" } },
      { type: "tool_result", tool: "bash", output: "made\n", isError: false },
    ]);
    expect(statuses(trial)).toMatchObject([{ status: "processing", source: "protocol" }, { status: "idle" }]);
    await trial.input("And again,\nwith a line; and 'quotes' – ü.");
    await rest(trial, 2);
    expect(texts(trial)).toEqual([
      "user: Make a file.",
      "assistant: Made.",
      "user: And again,\nwith a line; and 'quotes' – ü.",
      "assistant: Again.",
    ]);
    expect(JSON.stringify(server.turns()[0]?.body)).toContain("Canary 4711.");
    expect(trial.updates.find(({ type }) => type === "provider_session")).toMatchObject({
      id: expect.stringContaining("ses_"),
    });
    expect(trial.updates.filter(({ type }) => type === "unknown" || type === "error")).toEqual([]);
  });

  it("asks before it runs a command: allowed, it runs; denied, it does not", async () => {
    await using server = await openModelServer({
      script: ({ count, hasToolResult }) =>
        hasToolResult ? text(`After ${count}.`) : bash(`touch asked-${count}.txt`),
    });
    await using trial = await started(server, { runIn, task: "Touch.", permissions: "ask" });
    expect(await pending(trial)).toMatchObject({ kind: "permission", title: "touch asked-1.txt" });
    expect(trial.status()).toBe("waiting_input");
    expect(existsSync(join(trial.cwd, "asked-1.txt"))).toBe(false);
    await trial.respond({ decision: "allow" });
    await rest(trial, 1);
    expect(existsSync(join(trial.cwd, "asked-1.txt"))).toBe(true);
    await trial.input("Touch another.");
    await pending(trial);
    await trial.respond({ decision: "deny" });
    await rest(trial, 2);
    expect(trial.pending()).toEqual([]);
    expect(results(trial).map((one) => one.isError)).toEqual([false, true]);
    expect(existsSync(join(trial.cwd, "asked-3.txt"))).toBe(false);
  });

  it("asks a question and takes the answers", async () => {
    const options = [
      { label: "Postgres", description: "The big one" },
      { label: "SQLite", description: "The small one" },
    ];
    const questions = [{ question: "Which database?", header: "Database", options }];
    await using server = await openModelServer({
      script: ({ hasToolResult }) =>
        hasToolResult ? text("So be it.") : { kind: "tool", name: "question", input: { questions } },
    });
    await using trial = await started(server, { runIn, task: "Ask." });
    expect(await pending(trial)).toMatchObject({
      kind: "question",
      title: "Which database?",
      options: [{ id: "Postgres" }, { id: "SQLite" }],
    });
    await trial.respond({ answers: { "Which database?": "SQLite" } });
    await rest(trial, 1);
    expect(JSON.stringify(server.turns().at(-1)?.body)).toMatch(/Which database\?.{0,20}SQLite/);
  });

  it("asks for what a subagent wants to do", async () => {
    await using server = await openModelServer({
      script: ({ body, hasToolResult }) => {
        const isSub = isSubagent(body);
        if (hasToolResult) return text(isSub ? "Sub done." : "All done.");
        const input = { description: "sub", subagent_type: "general", prompt: "Sub task." };
        return isSub ? bash("touch sub.txt") : { kind: "tool", name: "task", input };
      },
    });
    await using trial = await started(server, { runIn, task: "Delegate.", permissions: "ask" });
    expect(await pending(trial)).toMatchObject({ title: "touch sub.txt" });
    await trial.respond({ decision: "allow_always" });
    await rest(trial, 1);
    expect(existsSync(join(trial.cwd, "sub.txt"))).toBe(true);
    expect(texts(trial)).toEqual(["user: Delegate.", "assistant: All done."]);
  });

  it("takes input in mid-tool and is at rest only after it", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? bash(gate) : text(`Turn ${count}.`)),
    });
    await using trial = await started(server, { runIn, task: "Wait." });
    await trial.until("the tool", () => trial.updates.some(({ type }) => type === "tool_use"), limitMs);
    await trial.input("touch nothing else");
    await trial.until("the input", () => trial.messages("user").length === 2, limitMs);
    openGate(trial.cwd);
    await rest(trial, 1);
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("touch nothing else");
    expect(rests(trial.updates)).toBe(1);
  });

  it("is interrupted in mid-tool: the tool's process dies, the session goes on", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? bash(sleeper) : text("Here again.")),
    });
    await using trial = await started(server, { runIn, task: "Wait long." });
    const pid = await trial.until("the tool's process", () => sleeperPid(trial.cwd), limitMs);
    await trial.interrupt();
    await rest(trial, 1);
    await trial.until("the tool's end", () => !isAlive(pid));
    expect(statuses(trial).at(-1)).toMatchObject({ reason: "interrupted" });
    await trial.input("Go on.");
    await trial.until(
      "an answer",
      () => trial.messages("assistant").some((one) => one.text === "Here again."),
      limitMs,
    );
    await rest(trial, 2);
  });

  it("is interrupted while a subagent asks: nothing goes on, nothing stays asked", async () => {
    await using server = await openModelServer({
      script: ({ body, count }) => {
        const isSub = isSubagent(body);
        const input = { description: "sub", subagent_type: "general", prompt: "Sub task." };
        if (count > 2) return text("Again.");
        return isSub ? bash("touch sub.txt") : { kind: "tool", name: "task", input };
      },
    });
    await using trial = await started(server, { runIn, task: "Delegate.", permissions: "ask" });
    await pending(trial);
    await trial.interrupt();
    await rest(trial, 1);
    expect(trial.pending()).toEqual([]);
    await trial.input("Go on.");
    await rest(trial, 2);
    expect(trial.messages("assistant").at(-1)?.text).toBe("Again.");
    expect(existsSync(join(trial.cwd, "sub.txt"))).toBe(false);
  });

  it("tells an error of the model's server as an error", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? { kind: "error", status: 400, message: "no such thing" } : text("Well.")),
    });
    await using trial = await started(server, { runIn, task: "Fail." });
    await trial.until("the error", () => trial.status() === "error", limitMs);
    expect(trial.updates.find(({ type }) => type === "error")).toMatchObject({
      message: expect.stringContaining("no such thing"),
    });
    await trial.input("Once more.");
    await rest(trial, 1);
    expect(texts(trial).at(-1)).toBe("assistant: Well.");
  });

  it("works on while it asks again after a 429", async () => {
    await using server = await openModelServer({
      script: ({ count }) =>
        count === 1 ? { kind: "error", status: 429, message: "slow down", retryAfterSeconds: 1 } : text("Now."),
    });
    await using trial = await started(server, { runIn, task: "Hurry." });
    await rest(trial, 1);
    expect(texts(trial).at(-1)).toBe("assistant: Now.");
    expect(statuses(trial)).toMatchObject([
      { status: "processing" },
      { status: "processing", reason: expect.stringContaining("slow down") },
      { status: "idle" },
    ]);
  });

  it("is resumed with what was said before", async () => {
    await using server = await openModelServer({ script: () => text("All done.") });
    await using trial = await started(server, { runIn, task: "The word is heron." });
    await rest(trial, 1);
    await trial.resume("Which word?");
    await rest(trial, 2);
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("The word is heron.");
    expect(texts(trial)).toEqual([
      "user: The word is heron.",
      "assistant: All done.",
      "user: Which word?",
      "assistant: All done.",
    ]);
  });
});
