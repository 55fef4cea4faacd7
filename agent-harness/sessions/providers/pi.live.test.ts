import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findAgentCli } from "../../testing/agent-clis.ts";
import { type ModelServer, openModelServer, type Script } from "../../testing/model-server.ts";
import { openTrial, type Trial, type TrialOptions } from "../../testing/provider-trial.ts";
import { gate, isAlive, openGate, sleeper, sleeperPid } from "../../testing/tool-process.ts";
import { runWays } from "../session.ts";
import { pi } from "./pi.ts";

const command = findAgentCli("pi");

const started = async (
  server: ModelServer,
  options: Partial<TrialOptions> & Pick<TrialOptions, "runIn">,
): Promise<Trial> =>
  await openTrial(pi, {
    settings: { command: command ?? "pi", extraArgs: [], modelUrl: server.url, modelKey: "scripted" },
    model: "scripted",
    ...options,
    env: { PI_OFFLINE: "1", ...options.env },
  });

const bash = (line: string) => ({ kind: "tool" as const, name: "bash", input: { command: line } });
const done: Script = () => ({ kind: "text", text: "All done." });
const texts = (trial: Trial): string[] => trial.messages().map(({ role, text }) => `${role}: ${text}`);

describe.skipIf(command === undefined).each(runWays)("with the real pi, %s", (runIn) => {
  it("does a task with a tool, takes a follow-up, says who it is", async () => {
    await using server = await openModelServer({
      script: ({ count, hasToolResult }) =>
        count === 1
          ? bash("echo made > made.txt && cat made.txt")
          : { kind: "text", text: hasToolResult ? "Made." : "Again." },
    });
    await using trial = await started(server, { runIn, task: "Make a file.", instructions: "Canary 4711." });
    await trial.untilStatus("idle");
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(true);
    expect(trial.updates.filter(({ type }) => type.startsWith("tool"))).toMatchObject([
      { type: "tool_use", tool: "bash", input: { command: "echo made > made.txt && cat made.txt" } },
      { type: "tool_result", tool: "bash", output: "made\n", isError: false },
    ]);
    expect(trial.updates.filter(({ type }) => type === "status")).toMatchObject([
      { status: "processing", source: "protocol" },
      { status: "idle", source: "protocol" },
    ]);
    await trial.input("And again,\nwith a line; and 'quotes' – ü.");
    await trial.until("the second answer", () => trial.messages("assistant").length === 2);
    await trial.until("rest", () => trial.updates.filter((one) => one.type === "status" && one.status === "idle")[1]);
    expect(texts(trial)).toEqual([
      "user: Make a file.",
      "assistant: Made.",
      "user: And again,\nwith a line; and 'quotes' – ü.",
      "assistant: Again.",
    ]);
    expect(JSON.stringify(server.turns()[0]?.body)).toContain("Canary 4711.");
    expect(trial.updates.find(({ type }) => type === "provider_session")).toMatchObject({ id: expect.any(String) });
    expect(trial.updates.filter(({ type }) => type === "unknown")).toEqual([]);
  });

  it("takes input in mid-tool and is at rest only after it", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? bash(gate) : { kind: "text", text: `Turn ${count}.` }),
    });
    await using trial = await started(server, { runIn, task: "Wait." });
    await trial.until("the tool", () => trial.updates.some(({ type }) => type === "tool_use"));
    await trial.input("touch nothing else");
    openGate(trial.cwd);
    await trial.untilStatus("idle");
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("touch nothing else");
    expect(trial.messages("user")).toHaveLength(2);
    expect(trial.updates.filter((one) => one.type === "status" && one.status === "idle")).toHaveLength(1);
  });

  it("is interrupted in mid-tool: the tool's process dies, the session goes on", async () => {
    await using server = await openModelServer({
      script: ({ count }) => (count === 1 ? bash(sleeper) : { kind: "text", text: "Here again." }),
    });
    await using trial = await started(server, { runIn, task: "Wait long." });
    const pid = await trial.until("the tool's process", () => sleeperPid(trial.cwd));
    await trial.interrupt();
    await trial.untilStatus("idle");
    await trial.until("the tool's end", () => !isAlive(pid));
    expect(trial.updates.findLast(({ type }) => type === "status")).toMatchObject({ reason: "interrupted" });
    await trial.input("Go on.");
    await trial.until("an answer", () => trial.messages("assistant").some(({ text }) => text === "Here again."));
    await trial.untilStatus("idle");
  });

  it("tells an error of the model's server as an error", async () => {
    await using server = await openModelServer({
      script: ({ count }) =>
        count === 1 ? { kind: "error", status: 400, message: "no such thing" } : { kind: "text", text: "Well." },
    });
    await using trial = await started(server, { runIn, task: "Fail." });
    await trial.untilStatus("error");
    expect(trial.updates.find(({ type }) => type === "error")).toMatchObject({
      message: expect.stringContaining("no such thing"),
    });
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
    const told = trial.updates.flatMap((one) => (one.type === "status" ? [one.status] : []));
    expect(new Set(told.slice(0, -1))).toEqual(new Set(["processing"]));
  });

  it("is resumed with what was said before", async () => {
    await using server = await openModelServer({ script: done });
    await using trial = await started(server, { runIn, task: "The word is heron." });
    await trial.untilStatus("idle");
    const before = trial.updates.length;
    await trial.resume("Which word?");
    await trial.until("rest", () =>
      trial.updates.slice(before).some((one) => one.type === "status" && one.status === "idle"),
    );
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("The word is heron.");
    expect(texts(trial)).toEqual([
      "user: The word is heron.",
      "assistant: All done.",
      "user: Which word?",
      "assistant: All done.",
    ]);
  });
});
