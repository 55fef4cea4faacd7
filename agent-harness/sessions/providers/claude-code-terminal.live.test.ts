import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bash, claude, keepFixture, lastStatus, rests, startClaude, texts } from "../../testing/claude-code-trial.ts";
import { openModelServer } from "../../testing/model-server.ts";
import { gate, openGate } from "../../testing/tool-process.ts";

describe.skipIf(claude === undefined)("with the real claude, in a terminal with a person", () => {
  it("sees that the person answered, for and against", async () => {
    await using server = await openModelServer({
      script: ({ hasToolResult }) =>
        hasToolResult ? { kind: "text", text: "Made." } : bash(`echo made >> made.txt; ${gate}`),
    });
    await using trial = await startClaude(server, { runIn: "tmux", task: "Make a file." });
    const pending = await trial.untilPending();
    await trial.press("1");
    // It is told at once, not when the tool has ended.
    await trial.until("the answer", () => trial.pending().length === 0);
    await trial.untilStatus("processing");
    await expect(trial.respond({ decision: "deny" }, pending)).rejects.toThrow("cannot be answered");
    openGate(trial.cwd);
    await rests(trial, 1);
    await trial.input("Once more.");
    await trial.untilPending();
    await trial.press("Escape");
    await rests(trial, 2);
    expect(trial.pending()).toEqual([]);
    expect(lastStatus(trial)).toMatchObject({ reason: "interrupted" });
    expect(readFileSync(join(trial.cwd, "made.txt"), "utf8")).toBe("made\n");
    await keepFixture(trial, "tmux-person");
  });

  it("takes input as the answer while it asks, and presses no key in the dialog", async () => {
    await using server = await openModelServer({
      script: ({ hasToolResult }) =>
        hasToolResult ? { kind: "text", text: "As you say." } : bash("echo made > made.txt"),
    });
    await using trial = await startClaude(server, { runIn: "tmux", task: "Make a file." });
    await trial.untilPending();
    await trial.input("1 is not what I want.");
    await rests(trial, 1);
    expect(existsSync(join(trial.cwd, "made.txt"))).toBe(false);
    expect(JSON.stringify(server.turns().at(-1)?.body)).toContain("1 is not what I want.");
    expect(texts(trial)).toContain("user: 1 is not what I want.");
  });

  it("comes to rest after a command of the terminal, and ends when the person leaves", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "Well." }) });
    await using trial = await startClaude(server, { runIn: "tmux", task: "Go." });
    await rests(trial, 1);
    await trial.input("/compact");
    await rests(trial, 2);
    await trial.input("/clear");
    await trial.until(
      "another session",
      () => trial.updates.filter(({ type }) => type === "provider_session").length >= 2,
    );
    await trial.input("Anew.");
    await trial.until("its messages", () => texts(trial).at(-2) === "user: Anew.");
    await trial.input("/exit");
    await trial.until("the end", () => trial.records.some(({ from }) => from === "exited"));
    await keepFixture(trial, "tmux-commands");
  });
});

describe.skipIf(claude === undefined)("with the real claude, in a terminal with a long task", () => {
  it("is given all of it, and takes keys and texts afterwards", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "Well." }) });
    const task = `--first line\n${"word ".repeat(40_000)}\nthe last line`;
    await using trial = await startClaude(server, { runIn: "tmux", task });
    await rests(trial, 1);
    expect(JSON.stringify(server.turns()[0]?.body)).toContain(JSON.stringify(task).slice(1, -1));
    await trial.input("And now?");
    await rests(trial, 2);
    expect(texts(trial).slice(-2)).toEqual(["user: And now?", "assistant: Well."]);
    expect(server.turns()).toHaveLength(2);
  });
});

describe.skipIf(claude === undefined)("with the real claude on pipes", () => {
  it("tells why it could not be resumed", async () => {
    await using server = await openModelServer({ script: () => ({ kind: "text", text: "Well." }) });
    await using trial = await startClaude(server, {
      runIn: "headless",
      task: "Go on.",
      resume: "00000000-0000-4000-8000-000000000000",
    });
    await trial.until("the end", () => trial.records.some(({ from }) => from === "exited"));
    expect(trial.updates.filter((one) => one.type === "error")[0]?.message).toMatch(/No conversation found/);
    await keepFixture(trial, "headless-resume-unknown");
  });
});
