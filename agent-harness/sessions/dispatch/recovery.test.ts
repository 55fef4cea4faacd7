import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type ApiDouble, asked, type DoubleRequest, openApiDouble, type Trouble } from "../../testing/api-double.ts";
import { dispatchTo } from "../../testing/dispatching.ts";
import { pause, remedyFor } from "./recovery.ts";

/** A double whose agents say hello, but for the trouble. */
const openHello = (trouble: (request: DoubleRequest) => Trouble, more = {}): Promise<ApiDouble> =>
  openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello."), trouble, ...more });

const isCreation = ({ route }: DoubleRequest): boolean => /^POST .*agents$/.test(route);

test.each([
  [400, "INVALID_REQUEST", "give_up"],
  [401, "UNAUTHORIZED", "refresh_token"],
  [403, "HOST_FORBIDDEN", "give_up"],
  [404, "AGENT_NOT_FOUND", "give_up"],
  [409, "PROJECT_EXISTS", "give_up"],
  [429, "HTTP_429", "retry"],
  [500, "TMUX_ERROR", "retry"],
  [500, "INTERNAL_ERROR", "retry"],
  [502, "HTTP_502", "retry"],
  [503, "TMUX_UNAVAILABLE", "give_up"],
  [503, "STORE_UNAVAILABLE", "retry"],
  [undefined, "API_UNREACHABLE", "retry"],
])("%s %s: %s", (status, code, remedy) => {
  expect(remedyFor({ status, code })).toBe(remedy);
});

test("pauses get longer, up to eight times the first one", async () => {
  const signal = new AbortController().signal;
  const lengths: number[] = [];
  for (const retry of [0, 2, 3, 9]) {
    const start = performance.now();
    await pause({ backoffMs: 10, signal }, retry);
    lengths.push(performance.now() - start);
  }
  const least = [9, 39, 79, 79];
  expect(lengths.every((length, at) => length >= (least[at] ?? 0))).toBe(true);
});

describe("creating an agent", () => {
  test.each(["TMUX_ERROR", "INTERNAL_ERROR"])("is tried again twice after 500 %s, with the same key", async (error) => {
    await using api = await openHello((one) =>
      isCreation(one) && one.count <= 2 ? { status: 500, error } : undefined,
    );
    const report = await dispatchTo(api);
    expect(report.completion.met).toBe(true);
    const keys = api.requests.filter(isCreation).map(({ key }) => key);
    expect(keys).toEqual(["dispatch-r1-1-1", "dispatch-r1-1-1", "dispatch-r1-1-1"]);
    expect(report.errors).toMatchObject([
      { code: error, status: 500, count: 2, recovered: true, doing: "create agent 1" },
    ]);
  });

  test("fails after the third 500", async () => {
    await using api = await openHello((one) => (isCreation(one) ? { status: 500, error: "TMUX_ERROR" } : undefined));
    const report = await dispatchTo(api, { flags: { parallel: "2" } });
    expect(report.completion).toMatchObject({ met: false, reason: "failed" });
    expect(api.requests.filter(isCreation)).toHaveLength(6);
    expect(report.agents).toMatchObject([
      { id: null, finalStatus: null, outcome: "failed", reason: "TMUX_ERROR: refused: TMUX_ERROR" },
      { id: null, outcome: "failed" },
    ]);
    expect(report.messages[0]).toEqual({ agentId: null, text: null, source: null, missing: "it was never created" });
    expect(report.errors).toMatchObject([
      { doing: "create agent 1", count: 3, recovered: false },
      { doing: "create agent 2", count: 3, recovered: false },
    ]);
    expect(api.projects.size).toBe(1);
  });

  test.each([
    [400, "INVALID_REQUEST"],
    [503, "TMUX_UNAVAILABLE"],
  ])("is not tried again after %s %s", async (status, error) => {
    await using api = await openHello((one) => (isCreation(one) ? { status, error } : undefined));
    const report = await dispatchTo(api);
    expect(report.completion.reason).toBe("failed");
    expect(api.requests.filter(isCreation)).toHaveLength(1);
    expect(report.errors).toMatchObject([{ code: error, status, count: 1, recovered: false }]);
  });

  test.each([
    ["a server that knows keys", false],
    ["a server that knows only names", true],
  ])("runs the task once on %s, though the answer was lost", async (_, old) => {
    await using api = await openHello((one) => (isCreation(one) && one.count === 1 ? "cut after" : undefined), { old });
    const report = await dispatchTo(api);
    expect(report.completion.met).toBe(true);
    expect(api.requests.filter(isCreation)).toHaveLength(2);
    expect([...api.agents.keys()]).toEqual(["codex-r1-1"]);
    expect(report.agents[0]?.attempts).toBe(1);
  });

  test("finds the agent by its name when every answer was lost", async () => {
    await using api = await openHello((one) => (isCreation(one) ? "cut after" : undefined));
    const report = await dispatchTo(api);
    expect(report.completion.met).toBe(true);
    expect(api.requests.filter(isCreation)).toHaveLength(3);
    expect(api.agents.size).toBe(1);
  });

  test("makes the project anew when somebody has deleted it, once for all agents", async () => {
    await using api = await openHello((one) => {
      if (isCreation(one) && one.count === 1) api.projects.clear();
      return undefined;
    });
    const report = await dispatchTo(api, { flags: { parallel: "2" } });
    expect(report.completion.met).toBe(true);
    expect(api.routes(/^POST \/projects$/)).toHaveLength(2);
    expect(report.errors).toMatchObject([
      { doing: "create agent 1", code: "PROJECT_NOT_FOUND", recovered: true },
      { doing: "create agent 2", code: "PROJECT_NOT_FOUND", recovered: true },
    ]);
  });

  test("takes up the agents of a run with the same id, and no agent with another task", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    await dispatchTo(api);
    const again = await dispatchTo(api);
    expect(again.completion.met).toBe(true);
    expect(again.project?.created).toBe(false);
    expect(api.agents.size).toBe(1);
    await using old = await openApiDouble({ old: true, onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    await dispatchTo(old);
    const other = await dispatchTo(old, { flags: { task: "Something else." } });
    expect(other.agents).toMatchObject([{ id: null, outcome: "failed" }]);
    expect(other.errors).toMatchObject([{ code: "NAME_CONFLICT", message: expect.stringContaining("another task") }]);
  });
});

describe("a run that is taken up again", () => {
  test("finds its agents though their webhooks are to go elsewhere now", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    const flags = { webhook: true, parallel: "2" };
    await dispatchTo(api, { flags });
    const again = await dispatchTo(api, { flags });
    expect(again.completion.met).toBe(true);
    expect(again.errors).toEqual([]);
    const urls = api.requests.filter(isCreation).map(({ body }) => (body["callback"] as { url: string }).url);
    expect(new Set(urls).size).toBe(2);
    expect(api.agents.size).toBe(2);
  });

  test.each([[false], [true]])(
    "goes on with the second attempt, when the first was stuck (old server: %s)",
    async (old) => {
      await using api = await openApiDouble({
        old,
        onCreate: ({ id }, double) => {
          if (id === "codex-r1-1-2") double.set(id, "processing");
        },
      });
      const left = new AbortController();
      const killed = dispatchTo(api, {
        flags: { expectsInput: true },
        timeouts: { spawnTimeoutMs: 300 },
        interrupted: left.signal,
      });
      await asked(api, /GET .*codex-r1-1-2$/);
      left.abort();
      await killed;
      const before = api.requests.length;
      const again = dispatchTo(api);
      await asked(api, /GET .*codex-r1-1-2\/events/, 2);
      api.finish("codex-r1-1-2", "Hello.");
      expect((await again).agents).toMatchObject([
        { id: "codex-r1-1-2", attempts: 2, replaces: ["codex-r1-1"], outcome: "succeeded" },
      ]);
      expect((await again).errors).toEqual([]);
      expect(api.requests.slice(before).filter(isCreation)).toMatchObject([{ key: "dispatch-r1-1-2" }]);
      expect([...api.agents.keys()]).toEqual(["codex-r1-1-2"]);
    },
  );
});

test("a run that is taken up starts nothing while the server does not say what is there", async () => {
  await using api = await openHello(({ route }) =>
    route.endsWith("codex-r1-1-2") ? { status: 500, error: "INTERNAL_ERROR" } : undefined,
  );
  api.projects.set("shop", "/work/shop");
  const report = await dispatchTo(api);
  expect(report.agents).toMatchObject([{ id: null, outcome: "failed" }]);
  expect(report.agents[0]?.reason).toContain("not known: INTERNAL_ERROR");
  expect(report.errors).toMatchObject([{ code: "INTERNAL_ERROR", agentId: "codex-r1-1-2", count: 3 }]);
  expect(api.requests.filter(isCreation)).toEqual([]);
});

describe("creating the project", () => {
  const name = (report: Awaited<ReturnType<typeof dispatchTo>>): string | undefined => report.project?.name;

  test("takes one of the same directory, and else the same next name each time", async () => {
    await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "Hello.") });
    api.projects.set("shop", "/work/shop/");
    expect(name(await dispatchTo(api))).toBe("shop");
    api.projects.set("shop", "/home/other/shop");
    const next = name(await dispatchTo(api, { flags: { runId: "r2" } })) ?? "";
    expect(next).toMatch(/^shop-[0-9a-f]{8}$/);
    expect(api.projects.get(next)).toBe("/work/shop");
    expect(name(await dispatchTo(api, { flags: { runId: "r3" } }))).toBe(next);
    api.projects.set(next, "/home/other/shop");
    expect(name(await dispatchTo(api, { flags: { runId: "r4" } }))).toBe(`${next}-2`);
  });

  test("is tried again twice after 500, and not after 400", async () => {
    for (const [status, error, times] of [
      [500, "INTERNAL_ERROR", 3],
      [400, "INVALID_REQUEST", 1],
      [503, "TMUX_UNAVAILABLE", 1],
    ] as const) {
      await using api = await openHello(() => ({ status, error }));
      const report = await dispatchTo(api);
      expect(api.requests).toHaveLength(times);
      expect(report).toMatchObject({ project: null, agents: [], messages: [], completion: { reason: "failed" } });
      expect(report.errors).toMatchObject([{ code: error, status, count: times, doing: "create the project shop" }]);
    }
  });

  test("says that nobody answers, and where", async () => {
    const api = await openApiDouble();
    await api[Symbol.asyncDispose]();
    const report = await dispatchTo(api);
    expect(report.errors).toMatchObject([{ code: "API_UNREACHABLE", status: null, count: 3 }]);
    expect(report.errors[0]?.message).toContain(api.url);
    expect(report.errors[0]?.hint).toContain("agent-harness serve");
  });
});

describe("401", () => {
  test("the token is read again, once for each request", async () => {
    const home = await mkdtemp(join(tmpdir(), "ah-dispatch-"));
    try {
      await writeFile(join(home, "api-token"), "second\n");
      await using api = await openApiDouble({
        token: "second",
        onCreate: ({ id }, double) => double.finish(id, "Hello."),
      });
      const report = await dispatchTo(api, { token: "first", home });
      expect(report.completion.met).toBe(true);
      expect(api.requests.slice(0, 3).map(({ token }) => token)).toEqual(["first", "second", "second"]);
      expect(report.errors).toMatchObject([{ code: "UNAUTHORIZED", count: 1, recovered: true }]);
    } finally {
      await rm(home, { recursive: true });
    }
  });

  test("with no better token it is given up after the second time", async () => {
    await using api = await openApiDouble({ token: "right" });
    const report = await dispatchTo(api, { token: "wrong" });
    expect(api.requests).toHaveLength(2);
    expect(report.errors).toMatchObject([{ code: "UNAUTHORIZED", status: 401, count: 2, recovered: false }]);
    expect(JSON.stringify(report)).not.toContain("wrong");
  });
});

test("an agent that somebody deletes while it works is not started again", async () => {
  await using api = await openApiDouble({ onCreate: ({ id }, double) => double.set(id, "processing") });
  const running = dispatchTo(api, { pace: { pollMs: 20 } });
  await asked(api, /GET .*codex-r1-1$/, 2);
  api.agents.clear();
  const report = await running;
  expect(report.agents).toMatchObject([{ id: "codex-r1-1", outcome: "failed", attempts: 1 }]);
  expect(report.agents[0]?.reason).toContain("deleted by somebody else");
  expect(report.messages[0]?.missing).toBe("it is not there any more");
});

test("an agent that is gone before it began is started once more", async () => {
  await using api = await openApiDouble({
    onCreate: ({ id }, double) => {
      if (id === "codex-r1-1") double.agents.clear();
      else double.finish(id, "Hello.");
    },
  });
  const report = await dispatchTo(api, { pace: { pollMs: 20 } });
  expect(report.agents).toMatchObject([{ id: "codex-r1-1-2", attempts: 2, outcome: "succeeded" }]);
});

test("input is tried again once, with the same key", async () => {
  await using api = await openApiDouble({
    onCreate: ({ id }, double) => double.set(id, "processing"),
    trouble: ({ route }) => (route.endsWith("/input") ? { status: 500, error: "TMUX_ERROR" } : undefined),
  });
  const report = await dispatchTo(api, {
    flags: { expectsInput: "Well?" },
    timeouts: { idleGraceMs: 20 },
    lateWhen: /is processing/,
  });
  const inputs = api.requests.filter(({ route }) => route.endsWith("/input"));
  expect(inputs.map(({ key }) => key)).toEqual(["dispatch-r1-1-1-input", "dispatch-r1-1-1-input"]);
  expect(report.errors).toMatchObject([{ doing: "give it input", count: 2 }]);
  expect(report.agents[0]?.outcome).toBe("timed_out");
});
