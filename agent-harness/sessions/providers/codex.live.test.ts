import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findAgentCli } from "../../testing/agent-clis.ts";
import { type ModelServer, openModelServer, type Script } from "../../testing/model-server.ts";
import { openTrial, type Trial, type TrialOptions } from "../../testing/provider-trial.ts";
import { gate, isAlive, openGate, sleeper, sleeperPid } from "../../testing/tool-process.ts";
import { until } from "../../testing/until.ts";
import { runWays } from "../session.ts";
import { codex } from "./codex.ts";

const command = findAgentCli("codex");

type Options = Partial<TrialOptions> & Pick<TrialOptions, "runIn">;

const started = async (server: ModelServer, options: Options): Promise<Trial> =>
  await openTrial(codex, {
    settings: { command: command ?? "codex", extraArgs: [], modelUrl: server.url, modelKey: "scripted" },
    model: "scripted",
    permissions: "all",
    ...options,
  });

const shell = (cmd: string) => ({ kind: "tool" as const, name: "exec_command", input: { cmd } });
/** Calls the tool first, then answers with its result. */
const once =
  (cmd: string): Script =>
  ({ count, hasToolResult }) =>
    count === 1 ? shell(cmd) : { kind: "text", text: hasToolResult ? "Made." : `Turn ${count}.` };

const statuses = (trial: Trial) => trial.updates.filter((one) => one.type === "status");
const texts = (trial: Trial): string[] => trial.messages().map(({ role, text }) => `${role}: ${text}`);
const lastRequest = (server: ModelServer): string => JSON.stringify(server.turns().at(-1)?.body);
const rests = (trial: Trial): number => statuses(trial).filter(({ status }) => status === "idle").length;

describe.skipIf(command === undefined).each(runWays)("with the real codex, %s", (runIn) => {
  it("does a task with a tool, takes a follow-up, says who it is", async () => {
    await using server = await openModelServer({ script: once("echo made > made.txt && cat made.txt") });
    await using trial = await started(server, { runIn, task: "Make a file.", instructions: "Canary 4711." });
    await trial.untilStatus("idle");
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(true);
    expect(trial.updates.filter(({ type }) => type.startsWith("tool"))).toMatchObject([
      { type: "tool_use", tool: "shell", input: { command: expect.stringContaining("echo made > made.txt") } },
      { type: "tool_result", tool: "shell", output: "made\n", isError: false },
    ]);
    expect(statuses(trial)).toMatchObject([
      { status: "processing", source: "protocol" },
      { status: "idle", source: "protocol" },
    ]);
    await trial.input("And again,\nwith a line; and 'quotes' – ü.");
    await trial.until("the second rest", () => rests(trial) === 2);
    expect(texts(trial)).toEqual([
      "user: Make a file.",
      "assistant: Made.",
      "user: And again,\nwith a line; and 'quotes' – ü.",
      "assistant: Turn 3.",
    ]);
    expect(new Set(trial.messages().map(({ id }) => id)).size).toBe(4);
    const first = server.turns()[0]?.body as { model: string; input: { role: string }[] };
    expect(JSON.stringify(first.input.filter(({ role }) => role === "developer"))).toContain("Canary 4711.");
    expect(first.model).toBe("scripted");
    const session = trial.updates.find((one) => one.type === "provider_session");
    expect(session).toMatchObject({ id: expect.any(String), file: expect.stringContaining(trial.folder) });
    expect(existsSync(session?.file ?? "")).toBe(true);
    expect(trial.updates.filter(({ type }) => type === "unknown")).toEqual([]);
  });

  it("asks before a command and does it when it was allowed", async () => {
    await using server = await openModelServer({ script: once("echo made > made.txt") });
    await using trial = await started(server, { runIn, task: "Make a file.", permissions: "ask" });
    const pending = await trial.untilPending();
    expect(pending).toMatchObject({ kind: "permission", title: expect.stringContaining("echo made > made.txt") });
    expect(trial.status()).toBe("waiting_input");
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(false);
    await trial.respond({ decision: "allow" });
    await trial.untilStatus("idle");
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(true);
    expect(trial.pending()).toEqual([]);
    expect(texts(trial).at(-1)).toBe("assistant: Made.");
  });

  it("does not do what was declined, and goes on with the words that came with it", async () => {
    await using server = await openModelServer({ script: once("echo made > made.txt") });
    await using trial = await started(server, { runIn, task: "Make a file.", permissions: "ask" });
    await trial.untilPending();
    await trial.respond({ decision: "deny", message: "Use another name." });
    await trial.untilStatus("idle");
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(false);
    expect(trial.updates.find(({ type }) => type === "tool_result")).toMatchObject({ isError: true });
    await trial.until("the words", () => lastRequest(server).includes("Use another name."));
    expect(texts(trial)[1]).toBe("user: Use another name.");
  });

  it("shows a change of files before it is made, and asks no second time for what is always allowed", async () => {
    const patch = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch";
    await using server = await openModelServer({
      script: ({ count }) =>
        count === 1
          ? shell(`apply_patch <<'EOF'\n${patch}\nEOF`)
          : count === 4 || count === 2
            ? shell("echo more >> new.txt")
            : { kind: "text", text: "Done." },
    });
    await using trial = await started(server, { runIn, task: "Patch.", permissions: "ask" });
    const pending = await trial.untilPending();
    expect(pending.title).toBe(`Change ${join(trial.cwd, "new.txt")}`);
    expect(pending.input).toMatchObject({ changes: [{ diff: "hello\n", kind: { type: "add" } }] });
    await trial.respond({ decision: "allow" });
    const second = await trial.until("the command", () => trial.pending().find(({ id }) => id !== pending.id));
    expect(existsSync(join(trial.cwd, "new.txt"))).toBe(true);
    await trial.respond({ decision: "allow_always" }, second);
    await trial.untilStatus("idle");
    await trial.input("Once more.");
    await trial.until("the second rest", () => rests(trial) === 2);
    expect(readFileSync(join(trial.cwd, "new.txt"), "utf8")).toBe("hello\nmore\nmore\n");
  });

  it("asks a question and gets the answer", async () => {
    const options = [
      { label: "Postgres", description: "as before" },
      { label: "SQLite", description: "smaller" },
    ];
    const questions = [{ id: "db", header: "Database", question: "Which database?", options }];
    await using server = await openModelServer({
      script: ({ count }) =>
        count === 1
          ? { kind: "tool", name: "request_user_input", input: { questions } }
          : { kind: "text", text: "Good." },
    });
    await using trial = await started(server, { runIn, task: "Ask." });
    const pending = await trial.untilPending();
    expect(pending).toMatchObject({
      kind: "question",
      title: "Which database?",
      options: [{ id: "Postgres", label: "Postgres", description: "as before" }, { id: "SQLite" }],
    });
    await trial.respond({ answers: { "Which database?": "SQLite" } });
    await trial.untilStatus("idle");
    expect(lastRequest(server)).toContain(String.raw`{\"answers\":{\"db\":{\"answers\":[\"SQLite\"]}}}`);
  });

  it("takes input in mid-tool and is at rest only after it", async () => {
    await using server = await openModelServer({ script: once(gate) });
    await using trial = await started(server, { runIn, task: "Wait." });
    await trial.until("the tool", () => trial.updates.some(({ type }) => type === "tool_use"));
    await trial.input("Touch nothing else.");
    openGate(trial.cwd);
    await trial.untilStatus("idle");
    expect(lastRequest(server)).toContain("Touch nothing else.");
    expect(trial.messages("user")).toHaveLength(2);
    expect(rests(trial)).toBe(1);
  });

  it("is interrupted in mid-tool: the tool's process dies, the session goes on", async () => {
    await using server = await openModelServer({ script: once(sleeper) });
    await using trial = await started(server, { runIn, task: "Wait long." });
    const pid = await trial.until("the tool's process", () => sleeperPid(trial.cwd));
    await trial.interrupt();
    await trial.untilStatus("idle");
    await trial.until("the tool's end", () => !isAlive(pid));
    expect(statuses(trial).at(-1)).toMatchObject({ reason: "interrupted" });
    await trial.input("Go on.");
    await trial.until("an answer", () => texts(trial).at(-1)?.startsWith("assistant: Turn"));
    await trial.until("the second rest", () => rests(trial) === 2);
  });

  it("is interrupted while it waits for an answer", async () => {
    await using server = await openModelServer({ script: once("echo made > made.txt") });
    await using trial = await started(server, { runIn, task: "Make a file.", permissions: "ask" });
    await trial.untilPending();
    await trial.interrupt();
    await trial.untilStatus("idle");
    expect(trial.pending()).toEqual([]);
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(false);
  });

  it("tells an error of the model's server as an error", async () => {
    await using server = await openModelServer({
      script: ({ count }) =>
        count === 1 ? { kind: "error", status: 400, message: "no such thing" } : { kind: "text", text: "Well." },
    });
    await using trial = await started(server, { runIn, task: "Fail." });
    await trial.untilStatus("error");
    expect(trial.updates.filter(({ type }) => type === "error")).toEqual([{ type: "error", message: "no such thing" }]);
    await trial.input("Once more.");
    await trial.untilStatus("idle");
    expect(texts(trial).at(-1)).toBe("assistant: Well.");
  });

  it("works on while it asks again after a 429", async () => {
    await using server = await openModelServer({
      script: ({ count }) =>
        count === 1
          ? { kind: "error", status: 429, message: "slow down", retryAfterSeconds: 1 }
          : { kind: "text", text: "Now." },
    });
    await using trial = await started(server, { runIn, task: "Hurry." });
    await trial.untilStatus("idle");
    expect(texts(trial).at(-1)).toBe("assistant: Now.");
    expect(
      new Set(
        statuses(trial)
          .slice(0, -1)
          .map(({ status }) => status),
      ),
    ).toEqual(new Set(["processing"]));
    expect(statuses(trial).some(({ reason }) => reason?.includes("429"))).toBe(true);
    expect(trial.updates.filter(({ type }) => type === "error")).toEqual([]);
  });

  it("is resumed with what was said before", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "All done." }) });
    await using trial = await started(server, { runIn, task: "The word is heron." });
    await trial.untilStatus("idle");
    const before = trial.updates.length;
    await trial.resume("Which word?");
    await trial.until("rest", () =>
      trial.updates.slice(before).some((one) => one.type === "status" && one.status === "idle"),
    );
    expect(lastRequest(server)).toContain("The word is heron.");
    expect(texts(trial)).toEqual([
      "user: The word is heron.",
      "assistant: All done.",
      "user: Which word?",
      "assistant: All done.",
    ]);
  });

  it("says that it cannot go on with a session that is not there", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "All done." }) });
    await using trial = await started(server, { runIn, resume: "01a1ffca-14ea-7052-b822-bb860c568d80" });
    await trial.untilStatus("error");
    expect(statuses(trial).at(-1)?.reason).toContain("no rollout found");
  });

  it("keeps a home of its own, with the person's settings and login in it", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "All done." }) });
    const prepare: TrialOptions["prepare"] = async ({ home }) => {
      await mkdir(join(home, ".codex"));
      await writeFile(join(home, ".codex", "auth.json"), '{"OPENAI_API_KEY":"sk-person"}', { mode: 0o600 });
      await writeFile(join(home, ".codex", "config.toml"), 'developer_instructions = "Canary 815."\n');
    };
    await using trial = await started(server, { runIn, task: "Go.", prepare });
    await trial.untilStatus("idle");
    expect(lastRequest(server)).toContain("Canary 815.");
    expect(server.turns()[0]?.headers.authorization).toBe("Bearer scripted");
    expect(existsSync(join(trial.folder, "codex", "auth.json"))).toBe(true);
    expect(existsSync(join(trial.home, ".codex", "sessions"))).toBe(false);
    expect(readFileSync(join(trial.home, ".codex", "config.toml"), "utf8")).toBe(
      'developer_instructions = "Canary 815."\n',
    );
  });
});

describe.skipIf(command === undefined)("with the real codex in a terminal", () => {
  const shown = async (trial: Trial, text: string): Promise<void> => {
    await until(`${text} on the screen`, async () => (await trial.screen()).includes(text), 20_000);
  };

  it("shows the session to a person, who can type and answer there", async () => {
    await using server = await openModelServer({
      script: ({ count, hasToolResult }) =>
        count === 2 ? shell("echo made > made.txt") : { kind: "text", text: hasToolResult ? "Made." : "Welcome." },
    });
    await using trial = await started(server, { runIn: "tmux", task: "Say welcome.", permissions: "ask" });
    await trial.untilStatus("idle");
    await shown(trial, "Welcome.");
    await trial.press("Make a file.");
    await shown(trial, "Make a file.");
    await trial.press("Enter");
    await trial.untilPending();
    await shown(trial, "Would you like to run");
    await trial.press("y");
    await trial.until("the second rest", () => rests(trial) === 2);
    expect(trial.pending()).toEqual([]);
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(true);
    expect(texts(trial)).toEqual([
      "user: Say welcome.",
      "assistant: Welcome.",
      "user: Make a file.",
      "assistant: Made.",
    ]);
  });

  it("ends when the person ends it", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "Welcome." }) });
    await using trial = await started(server, { runIn: "tmux", task: "Say welcome." });
    await trial.untilStatus("idle");
    await shown(trial, "Welcome.");
    await trial.press("C-d");
    await trial.until("the end", () => trial.records.some(({ from }) => from === "exited"));
  });

  it("waits in the terminal until there is something to show", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "Welcome." }) });
    await using trial = await started(server, { runIn: "tmux", resume: "01a1ffca-14ea-7052-b822-bb860c568d80" });
    await trial.untilStatus("error");
    await shown(trial, "Waiting for codex");
    await trial.input("Begin again.");
    await trial.until("a second refusal", () => statuses(trial).length === 2);
    expect(trial.records.some(({ from }) => from === "exited")).toBe(false);
  });
});
