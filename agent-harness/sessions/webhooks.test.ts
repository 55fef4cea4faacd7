import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { NewDelivery } from "../store/index.ts";
import { eventLogDouble } from "../testing/event-log-double.ts";
import { freePorts } from "../testing/ports.ts";
import { openReceiver, type Received } from "../testing/receiver.ts";
import { until } from "../testing/until.ts";
import { queueDouble } from "../testing/webhook-queue-double.ts";
import { openWebhooks, outcomeOf, type Webhooks, type WebhooksOptions } from "./webhooks.ts";

const key = Buffer.alloc(32, 1);
const secret = `whsec_${key.toString("base64")}`;

const delivery = (url: string, more: Partial<NewDelivery> = {}): NewDelivery => ({
  id: "d1",
  event: "agent_completed",
  project: "shop",
  agentId: "a",
  url,
  body: '{"event":"agent_completed","lastMessage":"fertig 🎉"}',
  ...more,
});

async function open(queue: ReturnType<typeof queueDouble>, options: Partial<WebhooksOptions> = {}): Promise<Webhooks> {
  const folder = await mkdtemp(join(tmpdir(), "ah-hooks-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const webhooks = await openWebhooks({
    queue,
    paths: { webhookSecret: join(folder, "secret") },
    version: "1.2.3",
    pollMs: 5,
    firstRetryMs: 5,
    ...options,
    env: { HARNESS_WEBHOOK_SECRET: secret, ...options.env },
  });
  onTestFinished(() => webhooks[Symbol.asyncDispose]());
  return webhooks;
}

const settled = (queue: ReturnType<typeof queueDouble>, id = "d1") =>
  until(`delivery ${id} is settled`, () => queue.all.get(id)?.state !== "pending" && queue.all.get(id));

const verified = ({ headers, body }: Received): boolean => {
  const text = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body}`;
  return headers["webhook-signature"] === `v1,${createHmac("sha256", key).update(text).digest("base64")}`;
};

test("a delivery is posted once, with its bearer and a signature", async () => {
  await using receiver = await openReceiver();
  const queue = queueDouble();
  await open(queue);
  await queue.add(delivery(`${receiver.url}/hook?a=1`, { token: "geheim" }));
  const done = await settled(queue);
  expect(done).toMatchObject({ state: "delivered", attempts: 1, log: [{ attempt: 1, status: 200 }] });
  expect(receiver.received).toHaveLength(1);
  const [got] = receiver.received as [Received];
  expect(got).toMatchObject({ method: "POST", path: "/hook?a=1", body: delivery("").body });
  expect(got.headers).toMatchObject({
    authorization: "Bearer geheim",
    "content-type": "application/json",
    "user-agent": "agent-harness/1.2.3",
    "webhook-id": "d1",
  });
  expect(verified(got)).toBe(true);
  expect(verified({ ...got, body: `${got.body} ` })).toBe(false);
});

test("a receiver that fails is asked again, with the same id", async () => {
  await using receiver = await openReceiver((response, _, count) => {
    response.statusCode = count < 3 ? 503 : 204;
    response.end();
  });
  const queue = queueDouble();
  await open(queue);
  await queue.add(delivery(receiver.url));
  const done = await settled(queue);
  expect(done.log.map((one) => one.status)).toEqual([503, 503, 204]);
  expect(receiver.received.map(({ headers }) => headers["webhook-id"])).toEqual(["d1", "d1", "d1"]);
  expect(receiver.received.every(verified)).toBe(true);
});

test("nobody who listens is a failure that is tried again, and one that is gone is not", async () => {
  await using gone = await openReceiver((response) => {
    response.statusCode = 410;
    response.end("no more");
  });
  const [port] = await freePorts(1);
  const queue = queueDouble();
  await open(queue, { firstRetryMs: 60_000 });
  await queue.add(delivery(`http://127.0.0.1:${port}/`));
  await queue.add(delivery(gone.url, { id: "d2" }));
  expect(await settled(queue, "d2")).toMatchObject({ state: "failed", log: [{ status: 410, error: "HTTP 410" }] });
  const first = await until("the first attempt", () => queue.all.get("d1")?.log[0]);
  expect(first).toMatchObject({ attempt: 1, error: expect.stringContaining("ECONNREFUSED") });
  expect(first).not.toHaveProperty("status");
  expect(queue.all.get("d1")?.state).toBe("pending");
  expect(queue.all.get("d1")?.nextAt.getTime()).toBeGreaterThan(Date.now() + 50_000);
});

test("a redirect is not followed", async () => {
  await using target = await openReceiver();
  await using receiver = await openReceiver((response) => {
    response.writeHead(307, { location: target.url });
    response.end();
  });
  const webhooks = await open(queueDouble());
  expect(await webhooks.tryOut(delivery(receiver.url))).toMatchObject({
    ok: false,
    status: 307,
    error: "HTTP 307: redirects are not followed",
  });
  expect(target.received).toEqual([]);
});

test("a receiver that does not answer in time is a failure; one whose answer never ends is not", async () => {
  await using silent = await openReceiver(() => undefined);
  await using endless = await openReceiver((response) => {
    response.write("x".repeat(100));
  });
  const hasty = await open(queueDouble(), { timeoutMs: 100 });
  expect(await hasty.tryOut(delivery(silent.url))).toMatchObject({ ok: false, error: "no answer within 0.1 s" });
  // What is waited for here is the limit, so there is enough of it for a slow machine to be answered.
  const patient = await open(queueDouble(), { timeoutMs: 2000 });
  expect(await patient.tryOut(delivery(endless.url))).toMatchObject({ ok: true, status: 200 });
});

test("no more of an answer is kept than a log needs", async () => {
  await using receiver = await openReceiver((response) => response.end("x".repeat(100_000)));
  const webhooks = await open(queueDouble());
  expect((await webhooks.tryOut(delivery(receiver.url))).text.length).toBe(2000);
});

test("a private address is refused: when it is named, and when it is posted to", async () => {
  const webhooks = await open(queueDouble());
  for (const url of ["http://192.168.0.1/", "http://[fd00::1]/x"]) {
    expect(() => webhooks.requireTarget(url)).toThrow("private address");
    expect(await webhooks.tryOut(delivery(url))).toMatchObject({ ok: false, status: null });
  }
  expect(() => webhooks.requireTarget("http://127.0.0.1:9/")).not.toThrow();
  const open2 = await open(queueDouble(), { env: { HARNESS_WEBHOOK_ALLOW_PRIVATE: "1" } });
  expect(() => open2.requireTarget("http://192.168.0.1/")).not.toThrow();
});

test.each([
  ["ftp://host/", "an http or https URL"],
  ["nonsense", "an http or https URL"],
  ["http://user:pass@host/", "holds no password"],
])("the target %s is refused", async (url, reason) => {
  const webhooks = await open(queueDouble());
  expect(() => webhooks.requireTarget(url)).toThrow(reason);
  await expect(open(queueDouble(), { env: { HARNESS_WEBHOOK_URL: url } })).rejects.toThrow(reason);
});

test("a queue that is away for a while is asked again", async () => {
  await using receiver = await openReceiver();
  const queue = queueDouble();
  const claim = queue.claim;
  let away = true;
  queue.claim = async (...options) => {
    if (away) throw new Error("no store");
    return await claim(...options);
  };
  const webhooks = await open(queue);
  await queue.add(delivery(receiver.url));
  await until("the trouble shows", () => webhooks.trouble() === "no store");
  away = false;
  await settled(queue);
  await until("the trouble is over", () => webhooks.trouble() === undefined);
  expect(receiver.received).toHaveLength(1);
});

test("a session that comes to rest does not wait for the next look", async () => {
  await using receiver = await openReceiver();
  const queue = queueDouble();
  let looks = 0;
  const claim = queue.claim;
  queue.claim = (...options) => {
    looks += 1;
    return claim(...options);
  };
  const events = eventLogDouble();
  await open(queue, { pollMs: 3_600_000, events });
  await until("it has looked and listens", () => looks === 1 && events.open === 1);
  await queue.add(delivery(receiver.url));
  await events.append([{ type: "agent_terminal_finalized", project: "shop", agentId: "a", data: {} }]);
  await settled(queue);
});

test("a claim hides what is being delivered for longer than an attempt takes", async () => {
  await using receiver = await openReceiver();
  const queue = queueDouble();
  await open(queue);
  await queue.add(delivery(receiver.url));
  await settled(queue);
  expect(queue.leases.get("d1")).toBeGreaterThanOrEqual(20_000);
});

test("the pauses double up to an hour, and after twelve attempts it is over", () => {
  const failed = { ok: false, status: 500, text: "", error: "HTTP 500" };
  const pauses = Array.from({ length: 11 }, (_, at) => outcomeOf(failed, at + 1));
  for (const [at, outcome] of pauses.entries()) {
    const wanted = Math.min(3_600_000, 5000 * 2 ** at);
    expect(outcome.state).toBe("pending");
    const { inMs } = outcome as { inMs: number };
    expect(inMs).toBeGreaterThanOrEqual(wanted * 0.89);
    expect(inMs).toBeLessThanOrEqual(wanted * 1.11);
  }
  expect(outcomeOf(failed, 12)).toEqual({ state: "failed" });
  expect(outcomeOf({ ...failed, retryAfterMs: 120_000 }, 1)).toEqual({ state: "pending", inMs: 120_000 });
  expect(outcomeOf({ ...failed, retryAfterMs: 86_400_000 }, 1)).toEqual({ state: "pending", inMs: 3_600_000 });
});
