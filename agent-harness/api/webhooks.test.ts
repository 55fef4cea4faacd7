import { expect, test } from "vitest";
import { openTestApi } from "../testing/api.ts";
import { openReceiver, type Received } from "../testing/receiver.ts";
import { until } from "../testing/until.ts";

test("without a target of the machine that is said, and a test needs one", async () => {
  const { ask } = await openTestApi();
  expect((await ask("GET", "/webhook/status")).json).toMatchObject({
    configured: false,
    reason: expect.stringContaining("HARNESS_WEBHOOK_URL"),
    status: { config: { url: null }, counts: { pending: 0, delivered: 0, failed: 0 }, deliveries: [] },
  });
  for (const path of ["/webhook/test", "/webhook/probe-receiver"]) {
    expect(await ask("POST", path)).toMatchObject({ status: 400, json: { error: "INVALID_REQUEST" } });
  }
});

test("a test is posted to the machine's target, with its token and a signature", async () => {
  await using receiver = await openReceiver((response) => response.end("thanks"));
  const env = { HARNESS_WEBHOOK_URL: `${receiver.url}/hook`, HARNESS_WEBHOOK_TOKEN: "geheim" };
  const { ask } = await openTestApi({ env });
  const answer = await ask("POST", "/webhook/test", { json: { event: "agent_error", lastMessage: null } });
  expect(answer).toMatchObject({
    status: 200,
    json: { ok: true, result: { ok: true, status: 200, bodySnippet: "thanks", error: null } },
  });
  expect(answer.text).not.toContain("geheim");
  const [got] = receiver.received as [Received];
  expect(got).toMatchObject({ method: "POST", path: "/hook" });
  expect(got.headers).toMatchObject({
    authorization: "Bearer geheim",
    "webhook-signature": expect.stringMatching(/^v1,/),
  });
  expect(JSON.parse(got.body)).toMatchObject({ event: "agent_error", project: "test", status: "idle" });
});

test("the machine's token is not sent to another target", async () => {
  await using receiver = await openReceiver();
  const env = { HARNESS_WEBHOOK_URL: "http://127.0.0.1:1/", HARNESS_WEBHOOK_TOKEN: "geheim" };
  const { ask } = await openTestApi({ env });
  await ask("POST", "/webhook/test", { json: { url: receiver.url } });
  expect(receiver.received[0]?.headers["authorization"]).toBeUndefined();
  await ask("POST", "/webhook/test", { json: { url: receiver.url, token: "own" } });
  expect(receiver.received[1]?.headers["authorization"]).toBe("Bearer own");
});

test("a receiver is asked whether it is there", async () => {
  await using receiver = await openReceiver((response, { path }) => {
    response.statusCode = path === "/health" ? 200 : 401;
    response.end("x".repeat(1000));
  });
  const { ask } = await openTestApi();
  const answer = await ask("POST", "/webhook/probe-receiver", { json: { baseUrl: `${receiver.url}/` } });
  expect(answer.json).toEqual({
    baseUrl: receiver.url,
    health: { url: `${receiver.url}/health`, ok: true, status: 200, bodySnippet: "x".repeat(400), error: null },
    harnessWebhook: {
      url: `${receiver.url}/harness-webhook`,
      ok: false,
      status: 401,
      bodySnippet: "x".repeat(400),
      error: "HTTP 401",
    },
  });
  expect(receiver.received.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
    "GET /health",
    "POST /harness-webhook",
  ]);
});

test("nothing is posted to a private address", async () => {
  const { ask } = await openTestApi();
  for (const [path, json] of [
    ["/webhook/test", { url: "http://169.254.169.254/" }],
    ["/webhook/probe-receiver", { baseUrl: "http://10.0.0.1" }],
    ["/webhook/probe-receiver", { baseUrl: "gopher://x" }],
  ] as const) {
    expect(await ask("POST", path, { json })).toMatchObject({ status: 400, json: { error: "INVALID_REQUEST" } });
  }
});

test("the log of deliveries shows each attempt, and neither token nor body", async () => {
  await using receiver = await openReceiver((response) => {
    response.statusCode = 500;
    response.end();
  });
  const { ask, queue } = await openTestApi();
  const delivery = { id: "d1", event: "agent_completed", project: "shop", agentId: "a", url: receiver.url };
  await queue.add({ ...delivery, token: "geheim", body: '{"secret":1}' });
  await until("it was tried", () => queue.all.get("d1")?.log[0]);
  const answer = await ask("GET", "/webhook/status");
  expect(answer.json).toMatchObject({
    status: {
      counts: { pending: 1 },
      deliveries: [
        {
          deliveryId: "d1",
          state: "pending",
          url: receiver.url,
          nextAt: expect.any(String),
          attempts: [{ status: 500, error: "HTTP 500" }],
        },
      ],
    },
  });
  expect(answer.text).not.toContain("geheim");
  expect(answer.text).not.toContain("secret");
});
