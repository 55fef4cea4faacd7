import { describe, expect, test } from "vitest";
import { asked, openApiDouble } from "../../testing/api-double.ts";
import { dispatchTo } from "../../testing/dispatching.ts";

describe("several agents", () => {
  test("share one project and one stream; all of them have to succeed", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.finish(id, `I am ${id}.`, id.endsWith("3") ? "error" : "idle"),
    });
    const report = await dispatchTo(api, { flags: { parallel: "4", ephemeral: true } });
    expect(report.completion).toEqual({ mode: "all", met: false, reason: "failed" });
    expect(report.agents.map(({ outcome }) => outcome)).toEqual(["succeeded", "succeeded", "failed", "succeeded"]);
    expect(report.messages.map(({ text }) => text)).toEqual([1, 2, 3, 4].map((one) => `I am codex-r1-${one}.`));
    expect(api.routes(/^POST \/projects$/)).toHaveLength(1);
    expect(api.routes(/events/)).toHaveLength(1);
    expect(api.routes(/events/)[0]).toMatch(/^GET \/projects\/shop\/events/);
    expect(api.routes(/^DELETE/)).toEqual([]);
  });

  test("fifty of them share one stream, and nobody warns of a leak", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on("warning", note);
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    const report = await dispatchTo(api, { flags: { parallel: "50" }, timeouts: { completionTimeoutMs: 60_000 } });
    process.off("warning", note);
    expect(report.completion.met).toBe(true);
    expect(new Set(report.agents.map(({ id }) => id)).size).toBe(50);
    expect(api.routes(/events/)).toHaveLength(1);
    expect(warnings).toEqual([]);
  }, 60_000);

  test("any: an error is no success; the first idle one ends the run, losers are aborted and then deleted", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "processing"),
      onAbort: ({ id }, double) => double.finish(id, "Stopped."),
    });
    const running = dispatchTo(api, { flags: { parallel: "3", completion: "any" } });
    await asked(api, /events/);
    await asked(api, /GET .*agents\/codex-r1-\d$/, 3);
    api.finish("codex-r1-1", "No.", "error");
    await asked(api, /codex-r1-1\/messages\/last/);
    expect(api.routes(/abort/)).toEqual([]);
    api.finish("codex-r1-2", "Yes.");
    const report = await running;
    expect(report.completion).toEqual({ mode: "any", met: true, reason: "met" });
    expect(report.agents.map(({ outcome, deleted }) => [outcome, deleted])).toEqual([
      ["failed", false],
      ["succeeded", false],
      ["aborted", true],
    ]);
    expect(report.messages.map(({ text }) => text)).toEqual(["No.", "Yes.", "Stopped."]);
    expect(api.routes(/abort|^DELETE/)).toEqual([
      "POST /projects/shop/agents/codex-r1-3/abort",
      "DELETE /projects/shop/agents/codex-r1-3",
    ]);
  });

  test("any: when all have failed there is nothing to wait for", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "No.", "exited") });
    const report = await dispatchTo(api, { flags: { parallel: "2", completion: "any" } });
    expect(report.completion).toEqual({ mode: "any", met: false, reason: "failed" });
    expect(api.routes(/abort|^DELETE/)).toEqual([]);
  });

  test("any: a loser that is not created yet is found by its name and deleted", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "processing"),
      // The second creation is done, but its answer never comes.
      trouble: ({ body }) => (body["name"] === "codex-r1-2" ? "cut after" : undefined),
    });
    const running = dispatchTo(api, {
      flags: { parallel: "2", completion: "any" },
      timeouts: { idleGraceMs: 100 },
      pace: { backoffMs: 5000 },
    });
    await asked(api, /POST .*agents$/, 2);
    await asked(api, /GET .*codex-r1-1$/);
    api.finish("codex-r1-1", "First.");
    const report = await running;
    expect(report.agents).toMatchObject([
      { outcome: "succeeded" },
      { id: "codex-r1-2", outcome: "aborted", deleted: true },
    ]);
    expect([...api.agents.keys()]).toEqual(["codex-r1-1"]);
  });
});

describe("what is left", () => {
  test("nothing of an ephemeral run that was met", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    const report = await dispatchTo(api, { flags: { ephemeral: true } });
    expect(report.project?.deleted).toBe(true);
    expect(report.agents[0]?.deleted).toBe(true);
    expect([api.agents.size, api.projects.size]).toEqual([0, 0]);
  });

  test("a project that was there before, and agents of others", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    api.projects.set("shop", "/work/shop");
    const report = await dispatchTo(api, { flags: { ephemeral: true } });
    expect(report.project).toMatchObject({ created: false, deleted: false });
    expect([api.agents.size, api.projects.size]).toEqual([0, 1]);
  });

  test("nothing of a failed run, when that is forced", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "No.", "error") });
    const report = await dispatchTo(api, { flags: { forceCleanup: true } });
    expect(report.agents[0]).toMatchObject({ outcome: "failed", deleted: true });
    expect([api.agents.size, api.projects.size]).toEqual([0, 0]);
  });

  test("the failed agents and the project of an `any` run that was met and is ephemeral", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.finish(id, "x", id.endsWith("1") ? "error" : "idle"),
    });
    const report = await dispatchTo(api, { flags: { parallel: "2", completion: "any", ephemeral: true } });
    expect(report.completion.met).toBe(true);
    expect(report.agents.map(({ deleted }) => deleted)).toEqual([false, true]);
    expect([[...api.agents.keys()], api.projects.size]).toEqual([["codex-r1-1"], 1]);
  });
});

describe("an interrupted run", () => {
  test("ends the agents' turns, keeps them, and is reported", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "processing"),
      onAbort: ({ id }, double) => double.finish(id, "Half of it."),
    });
    const interrupt = new AbortController();
    const running = dispatchTo(api, { flags: { parallel: "2" }, interrupted: interrupt.signal });
    await asked(api, /GET .*codex-r1-\d$/, 2);
    interrupt.abort();
    const report = await running;
    expect(report.completion).toEqual({ mode: "all", met: false, reason: "interrupted" });
    expect(report.agents.map(({ outcome, deleted }) => [outcome, deleted])).toEqual([
      ["aborted", false],
      ["aborted", false],
    ]);
    expect(report.messages.map(({ text }) => text)).toEqual(["Half of it.", "Half of it."]);
    expect(api.agents.size).toBe(2);
  });

  test("is reported at once when somebody hurries", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.set(id, "processing") });
    const [interrupt, hurry] = [new AbortController(), new AbortController()];
    const running = dispatchTo(api, {
      interrupted: interrupt.signal,
      hurried: hurry.signal,
      timeouts: { idleGraceMs: 2000 },
    });
    await asked(api, /GET .*codex-r1-1$/);
    interrupt.abort();
    await asked(api, /abort/);
    hurry.abort();
    const report = await running;
    expect(report.agents[0]).toMatchObject({ finalStatus: "processing", outcome: null });
    expect(report.messages[0]?.missing).toBe("the run ended before it could be read");
  });

  test("has a report even before there is a project", async () => {
    await using api = await openApiDouble({ trouble: () => "hang" });
    const interrupt = new AbortController();
    const running = dispatchTo(api, { interrupted: interrupt.signal });
    await asked(api, /POST \/projects/);
    interrupt.abort();
    const report = await running;
    expect(report).toMatchObject({ project: null, agents: [], messages: [], completion: { reason: "interrupted" } });
  });
});
