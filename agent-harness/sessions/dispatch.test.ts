import { describe, expect, test } from "vitest";
import { openApiDouble } from "../testing/api-double.ts";
import { dispatchTo } from "../testing/dispatching.ts";

describe("one agent", () => {
  test("is created, followed on its own stream, and reported with its last message", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => {
        double.set(id, "processing");
        double.finish(id, "Hello.");
      },
    });
    const report = await dispatchTo(api, {
      flags: { model: "m1", subscription: "work", runIn: "headless", stack: "3" },
    });
    expect(report).toMatchObject({
      runId: "r1",
      completion: { mode: "all", met: true, reason: "met" },
      project: { name: "shop", cwd: "/work/shop", created: true, deleted: false },
      agents: [
        {
          id: "codex-r1-1",
          provider: "codex",
          finalStatus: "idle",
          outcome: "succeeded",
          attempts: 1,
          deleted: false,
          attachCommand: "tmux attach -t codex-r1-1",
          logPath: "/home/sessions/codex-r1-1/journal.jsonl",
        },
      ],
      messages: [{ agentId: "codex-r1-1", text: "Hello.", source: "messages/last", missing: null }],
      errors: [],
    });
    expect(report.agents[0]?.lastEventId).toMatch(/^evt-[1-4]$/);
    expect(Date.parse(report.agents[0]?.completionTs ?? "")).toBeGreaterThanOrEqual(Date.parse(report.timings.start));
    expect(report.timings.durationMs).toBe(Date.parse(report.timings.end) - Date.parse(report.timings.start));
    const [creation] = api.requests.filter(({ route }) => route === "POST /projects/shop/agents");
    expect(creation?.body).toMatchObject({ model: "m1", subscription: "work", runIn: "headless", stack: 3 });
    expect(creation?.key).toBe("dispatch-r1-1-1");
    expect(api.routes(/events/)).toEqual(["GET /projects/shop/agents/codex-r1-1/events?since=evt-0"]);
    expect(api.routes(/^(DELETE|POST .*abort)/)).toEqual([]);
  });

  test.each(["error", "exited"] as const)("that ends as %s fails, is kept, and can be attached to", async (status) => {
    await using api = await openApiDouble({
      onCreate: ({ id, project }, double) => {
        double.emit(project, id, "error", { message: "the model said no" });
        double.finish(id, "I could not.", status);
      },
    });
    const report = await dispatchTo(api, { flags: { ephemeral: true } });
    expect(report.completion).toEqual({ mode: "all", met: false, reason: "failed" });
    expect(report.agents[0]).toMatchObject({
      finalStatus: status,
      outcome: "failed",
      reason: "the model said no",
      deleted: false,
      attachCommand: "tmux attach -t codex-r1-1",
    });
    expect(report.messages[0]?.text).toBe("I could not.");
    expect(api.routes(/^DELETE/)).toEqual([]);
  });

  test("is not aborted while it waits for input, and the report says for what", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "waiting_input", { pending: { title: "rm -r build" } }),
    });
    const report = await dispatchTo(api, { flags: { expectsInput: true }, lateWhen: /asks: rm -r build/ });
    expect(report.completion.reason).toBe("timeout");
    expect(report.agents[0]).toMatchObject({
      finalStatus: "waiting_input",
      outcome: "timed_out",
      waitsFor: "rm -r build",
      completionTs: null,
      deleted: false,
    });
    expect(report.messages[0]).toMatchObject({
      text: null,
      missing: "messages/last has none; messages has none; output has none",
    });
    expect(api.routes(/abort|^DELETE/)).toEqual([]);
  });

  test("is told something when its time is over, and succeeds when that helps", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "processing"),
      onInput: ({ id }, double) => double.finish(id, "Done now."),
    });
    const report = await dispatchTo(api, {
      flags: { expectsInput: "Come to an end." },
      lateWhen: /is processing/,
    });
    expect(report.completion.met).toBe(true);
    expect(report.messages[0]?.text).toBe("Done now.");
    const [input] = api.requests.filter(({ route }) => route.endsWith("/input"));
    expect(input).toMatchObject({ body: { text: "Come to an end." }, key: "dispatch-r1-1-1-input" });
  });

  test("that never comes to rest is aborted, and deleted after the grace", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.set(id, "processing") });
    const report = await dispatchTo(api, { timeouts: { idleGraceMs: 100 }, lateWhen: /is processing/ });
    expect(report.completion).toEqual({ mode: "all", met: false, reason: "timeout" });
    expect(report.agents[0]).toMatchObject({ finalStatus: "processing", outcome: "timed_out", deleted: true });
    expect(api.routes(/abort|^DELETE/)).toEqual([
      "POST /projects/shop/agents/codex-r1-1/abort",
      "DELETE /projects/shop/agents/codex-r1-1",
    ]);
    expect(api.projects.has("shop")).toBe(true);
  });

  test("that comes to rest when it is aborted is late all the same, and kept", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "processing"),
      onAbort: ({ id }, double) => double.finish(id, "Interrupted."),
    });
    const report = await dispatchTo(api, { lateWhen: /is processing/ });
    expect(report.completion).toEqual({ mode: "all", met: false, reason: "timeout" });
    expect(report.agents[0]).toMatchObject({ finalStatus: "idle", outcome: "timed_out", deleted: false });
    expect(report.messages[0]?.text).toBe("Interrupted.");
    expect(api.routes(/^DELETE/)).toEqual([]);
  });

  test("falls back from the last message to the messages, then to the output, and says which", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "idle", { messages: ["First.", "Second.", " "] }),
    });
    expect((await dispatchTo(api)).messages).toEqual([
      { agentId: "codex-r1-1", text: "Second.", source: "messages", missing: null },
    ]);
    expect(api.routes(/messages\?/)).toEqual(["GET /projects/shop/agents/codex-r1-1/messages?role=assistant&limit=20"]);
    await using raw = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "idle", { output: "$ done" }),
      trouble: ({ route }) => (route.includes("/messages") ? { status: 404, error: "NO_MESSAGES" } : undefined),
    });
    const report = await dispatchTo(raw);
    expect(report.messages).toEqual([{ agentId: "codex-r1-1", text: "$ done", source: "output", missing: null }]);
    expect(report.errors.map(({ doing, code }) => [doing, code])).toEqual([
      ["read messages/last", "NO_MESSAGES"],
      ["read messages", "NO_MESSAGES"],
    ]);
  });

  test("is read after its last message is there", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "idle", { lastMessage: "Let me see.", output: "x" }),
      // Its provider's log is late: the message is there once somebody has looked at the agent.
      trouble: ({ route, count }) => {
        if (route.endsWith("codex-r1-1") && count === 2) setImmediate(() => api.finish("codex-r1-1", "The end."));
        return undefined;
      },
    });
    const report = await dispatchTo(api, { pace: { settleMs: 5000 } });
    expect(report.messages[0]?.text).toBe("The end.");
  });
});

describe("an agent that stays starting", () => {
  test("is deleted and started once more", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => {
        if (id.endsWith("-2")) double.finish(id, "Second try.");
      },
    });
    const report = await dispatchTo(api, { timeouts: { spawnTimeoutMs: 50 } });
    expect(report.completion.met).toBe(true);
    expect(report.agents).toMatchObject([{ id: "codex-r1-1-2", attempts: 2, replaces: ["codex-r1-1"] }]);
    expect(report.errors).toMatchObject([{ agentId: "codex-r1-1", code: "STUCK_STARTING" }]);
    expect(report.errors[0]?.message).toContain("/home/sessions/codex-r1-1/journal.jsonl");
    expect(api.routes(/^DELETE/)).toEqual(["DELETE /projects/shop/agents/codex-r1-1"]);
    const keys = api.requests.flatMap(({ key }) => key ?? []);
    expect(keys).toEqual(["dispatch-r1-1-1", "dispatch-r1-1-2"]);
    expect(api.routes(/events/).at(-1)).toContain("codex-r1-1-2/events");
  });

  test("is not started a third time", async () => {
    await using api = await openApiDouble();
    const report = await dispatchTo(api, { timeouts: { spawnTimeoutMs: 50, idleGraceMs: 50 } });
    expect(report.completion.reason).toBe("timeout");
    expect(report.agents).toMatchObject([
      { attempts: 2, outcome: "timed_out", finalStatus: "starting", deleted: true },
    ]);
    expect(api.routes(/POST .*agents$/)).toHaveLength(2);
    expect(api.agents.size).toBe(0);
  });

  test("is not started again when it may still be there", async () => {
    await using api = await openApiDouble({
      trouble: ({ route }) => (route.startsWith("DELETE") ? { status: 500, error: "TMUX_ERROR" } : undefined),
    });
    const report = await dispatchTo(api, { timeouts: { spawnTimeoutMs: 50, idleGraceMs: 50 } });
    expect(api.routes(/POST .*agents$/)).toHaveLength(1);
    expect(report.agents).toMatchObject([{ attempts: 1, outcome: "timed_out", deleted: false }]);
  });

  test("is left alone when it does work, though nobody told", async () => {
    await using api = await openApiDouble({
      trouble: ({ route, count }) => {
        // The first look, right after the creation, sees it starting; the next is that of the time that is over.
        if (!route.endsWith("codex-r1-1") || count !== 2) return undefined;
        api.silence(true);
        api.set("codex-r1-1", "processing");
        setImmediate(() => {
          api.silence(false);
          api.finish("codex-r1-1", "Slow.");
        });
        return undefined;
      },
    });
    const report = await dispatchTo(api, { timeouts: { spawnTimeoutMs: 50 } });
    expect(report.agents).toMatchObject([{ id: "codex-r1-1", attempts: 1, outcome: "succeeded" }]);
    expect(api.routes(/^DELETE/)).toEqual([]);
  });
});
