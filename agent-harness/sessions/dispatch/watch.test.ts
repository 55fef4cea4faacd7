import { describe, expect, test } from "vitest";
import { type ApiDouble, asked, openApiDouble } from "../../testing/api-double.ts";
import { dispatchTo } from "../../testing/dispatching.ts";
import { until } from "../../testing/until.ts";

/* Nothing of this polls, unless it says so: without the stream's return the runs would end by their limit. */

const openWorking = (): Promise<ApiDouble> =>
  openApiDouble({ onCreate: ({ id }, double) => double.set(id, "processing") });

const open = (api: ApiDouble): Promise<true> => until("a stream", () => api.streams() > 0 && (true as const));

describe("a stream that drops", () => {
  test("is taken up after the last event, and what was missed is replayed", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api);
    await open(api);
    await asked(api, /GET .*codex-r1-1$/, 2);
    api.silence(true);
    api.dropStreams();
    api.finish("codex-r1-1", "Missed.");
    api.silence(false);
    const report = await running;
    expect(report.completion.met).toBe(true);
    expect(report.messages[0]?.text).toBe("Missed.");
    const [first, second] = api.routes(/events/);
    expect(first).toMatch(/since=evt-0$/);
    expect(second).toMatch(/since=evt-[12]$/);
    expect(report.errors).toMatchObject([{ code: "API_UNREACHABLE", recovered: true }]);
  });

  test("in the middle of a frame loses nothing", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api);
    await open(api);
    api.emit("shop", "codex-r1-1", "output", { text: "x".repeat(2_000_000) });
    api.dropStreams();
    api.finish("codex-r1-1", "After all.");
    expect((await running).messages[0]?.text).toBe("After all.");
  });

  test("and drops, and drops, is taken up each time", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api, { flags: { parallel: "2" } });
    for (let drop = 1; drop <= 5; drop += 1) {
      await open(api);
      api.dropStreams();
      await asked(api, /events/, drop + 1);
    }
    for (const id of api.agents.keys()) api.finish(id, "Hello.");
    const report = await running;
    expect(report.completion.met).toBe(true);
    expect(report.errors.filter(({ recovered }) => !recovered)).toEqual([]);
  });

  test("is told by silence too", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api, { pace: { silenceMs: 500 } });
    await open(api);
    await asked(api, /GET .*codex-r1-1$/, 2);
    api.silence(true);
    api.finish("codex-r1-1", "Nobody heard it.");
    const report = await running;
    expect(report.messages[0]?.text).toBe("Nobody heard it.");
    expect(report.errors).toMatchObject([{ code: "STREAM_DROPPED", recovered: true }]);
  });
});

describe("a gap", () => {
  test("that the server tells is closed by looking at the agent", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api);
    await open(api);
    api.silence(true);
    api.dropStreams();
    api.finish("codex-r1-1", "Long ago.");
    api.forget();
    api.silence(false);
    const report = await running;
    expect(report.completion.met).toBe(true);
    expect(report.messages[0]?.text).toBe("Long ago.");
  });

  test("that nobody tells is suspected when ids begin anew", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api);
    await open(api);
    for (let count = 0; count < 10; count += 1) api.emit("shop", "codex-r1-1", "output", { text: "." });
    await asked(api, /GET .*codex-r1-1$/, 2);
    api.restart();
    await asked(api, /events/, 2);
    await asked(api, /GET .*codex-r1-1$/, 3);
    api.finish("codex-r1-1", "With another counter.");
    const report = await running;
    expect(report.completion.met).toBe(true);
  });
});

test("a stale event of coming to rest does not end a run", async () => {
  await using api = await openWorking();
  const running = dispatchTo(api);
  await open(api);
  await asked(api, /GET .*codex-r1-1$/, 2);
  api.emit("shop", "codex-r1-1", "status_changed", { from: "processing", to: "idle" });
  await asked(api, /GET .*codex-r1-1$/, 3);
  expect(api.routes(/messages/)).toEqual([]);
  api.finish("codex-r1-1", "Now.");
  expect((await running).messages[0]?.text).toBe("Now.");
});

test("without any stream, an agent is looked at from time to time", async () => {
  await using api = await openApiDouble({
    onCreate: ({ id }, double) => double.set(id, "processing"),
    trouble: ({ route }) => (route.includes("/events") ? { status: 500, error: "INTERNAL_ERROR" } : undefined),
  });
  const running = dispatchTo(api, { pace: { pollMs: 30 } });
  await asked(api, /GET .*codex-r1-1$/, 4);
  api.finish("codex-r1-1", "Seen.");
  const report = await running;
  expect(report.messages[0]?.text).toBe("Seen.");
  expect(report.errors).toMatchObject([{ code: "INTERNAL_ERROR", doing: "follow the events of codex-r1-1" }]);
});

test("a server that is away for a while ends nothing", async () => {
  let away = false;
  await using api = await openApiDouble({
    onCreate: ({ id }, double) => double.set(id, "processing"),
    trouble: () => (away ? "cut" : undefined),
  });
  const running = dispatchTo(api, { pace: { pollMs: 20 } });
  await open(api);
  away = true;
  api.dropStreams();
  await asked(api, /GET .*codex-r1-1$/, 8);
  away = false;
  api.finish("codex-r1-1", "Back.");
  const report = await running;
  expect(report.completion.met).toBe(true);
  expect(report.errors.every(({ recovered }) => recovered)).toBe(true);
});

describe("webhooks", () => {
  test("are hints: with no stream and no poll they end the run, after a GET", async () => {
    await using api = await openApiDouble({
      onCreate: ({ id }, double) => double.set(id, "processing"),
      trouble: ({ route }) => (route.includes("/events") ? "hang" : undefined),
    });
    const running = dispatchTo(api, { flags: { webhook: true } });
    await asked(api, /GET .*codex-r1-1$/);
    await until("processing", () => api.agents.get("codex-r1-1")?.status === "processing");
    api.finish("codex-r1-1", "By post.");
    const report = await running;
    expect(report.messages).toMatchObject([{ text: "By post.", source: "messages/last" }]);
    const after = api.requests.map(({ route }) => route).slice(-2);
    expect(after).toEqual([
      "GET /projects/shop/agents/codex-r1-1/messages/last",
      "GET /projects/shop/agents/codex-r1-1",
    ]);
    const [creation] = api.requests.filter(({ route }) => route.endsWith("/agents"));
    expect(creation?.body["callback"]).toMatchObject({ url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\//) });
  });

  test("that are lost change nothing", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api, { flags: { webhook: true } });
    await open(api);
    await asked(api, /GET .*codex-r1-1$/, 2);
    const agent = api.agents.get("codex-r1-1");
    delete agent?.callback;
    api.finish("codex-r1-1", "By stream.");
    expect((await running).messages[0]?.text).toBe("By stream.");
  });

  test("that are early or forged end nothing", async () => {
    await using api = await openWorking();
    const running = dispatchTo(api, { flags: { webhook: true } });
    await open(api);
    await asked(api, /GET .*codex-r1-1$/, 2);
    const { url = "", token = "" } = api.agents.get("codex-r1-1")?.callback ?? {};
    const post = async (bearer: string, body: string): Promise<number> =>
      (await fetch(url, { method: "POST", headers: { authorization: `Bearer ${bearer}` }, body })).status;
    const hint = JSON.stringify({ event: "agent_completed", project: "shop", agentId: "codex-r1-1" });
    expect(await post("guessed", hint)).toBe(401);
    expect(await post(token, "{}")).toBe(400);
    expect(await post(token, "no JSON")).toBe(400);
    expect(await post(token, hint.replace("codex-r1-1", "codex-other-1"))).toBe(204);
    expect((await fetch(url)).status).toBe(405);
    const agent = api.agents.get("codex-r1-1");
    if (agent !== undefined) agent.lastMessage = "Not yet.";
    const looks = api.routes(/GET .*codex-r1-1$/).length;
    expect(await post(token, hint)).toBe(204);
    await asked(api, /GET .*codex-r1-1$/, looks + 1);
    expect(await post(token, "x".repeat(1024 * 1024 + 1)).catch(() => 413)).toBe(413);
    delete agent?.callback;
    api.finish("codex-r1-1", "Really.");
    const report = await running;
    expect(report.messages[0]?.text).toBe("Really.");
    await expect(fetch(url)).rejects.toThrow();
  });
});
