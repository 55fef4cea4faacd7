import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { openSessions, openWebhooks } from "../sessions/index.ts";
import { homePaths } from "../shared/paths.ts";
import { type Answer, openTestApi, type TestApi, testToken } from "../testing/api.ts";
import { fakeProvider } from "../testing/fake-provider.mjs";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openReceiver, type Received } from "../testing/receiver.ts";
import { openSessionsTrial, type SessionsTrial } from "../testing/sessions-trial.ts";
import { type Frame, openFrames } from "../testing/sse.ts";
import { until } from "../testing/until.ts";
import { agentList, createdAgent, messages, oneAgent } from "./schemas-agent.ts";
import { projectWithAgents } from "./schemas-project.ts";

/* The whole way: HTTP, sessions, keepers, a program that is no double of one, the store, and a receiver of webhooks. */

let postgres: TestPostgres;
let trial: SessionsTrial;
let api: TestApi;
const key = Buffer.alloc(32, 3);

beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

beforeEach(async () => {
  trial = await openSessionsTrial(postgres, { settings: { runIn: "headless" } });
  const { store, home } = trial;
  const env = { ...process.env, HARNESS_WEBHOOK_SECRET: `whsec_${key.toString("base64")}` };
  const paths = homePaths(home);
  const providers = new Map([["pi" as const, fakeProvider("pi")]]);
  const sessions = await openSessions({ store, paths, env, providers });
  const webhooks = await openWebhooks({ queue: store.deliveries, paths, env, version: "1.2.3", pollMs: 20 });
  // Undone from the last to the first, after the API has stopped.
  onTestFinished(async () => {
    await webhooks[Symbol.asyncDispose]();
    await sessions[Symbol.asyncDispose]();
    await trial[Symbol.asyncDispose]();
  });
  api = await openTestApi({ sessions, webhooks, events: store.events });
});

const create = (task: string, more: object = {}): Promise<Answer> =>
  api.ask("POST", "/projects/demo/agents", { json: { provider: "pi", task, name: "one", ...more } });

const atStatus = (status: string) =>
  until(`it is ${status}`, async () => {
    const { json } = await api.ask("GET", "/projects/demo/agents/one");
    const shown = oneAgent.parse(json);
    return shown.status === status && shown.agent;
  });

test("an agent is started, followed to its rest, read, and told by a signed webhook", async () => {
  await using receiver = await openReceiver();
  const callback = { url: `${receiver.url}/hook`, token: "geheim", sessionKey: "k" };
  const made = await create("say first; say last", { callback });
  expect(made.status, made.text).toBe(201);
  const { agent, lastEventId } = createdAgent.parse(made.json);
  expect(agent).toMatchObject({ id: "one", provider: "pi", runIn: "headless", tmuxTarget: "" });

  const url = `${api.url}/projects/demo/agents/one/events`;
  const headers = { authorization: `Bearer ${testToken}` };
  const frames: Frame[] = [];
  await using stream = await openFrames(`${url}?since=evt-0`, headers);
  while (frames.at(-1)?.event !== "agent_terminal_finalized") frames.push((await stream.next()) ?? {});
  const numbers = frames.map(({ id }) => Number(id?.slice(4)));
  expect(numbers).toEqual([...new Set(numbers)].sort((one, two) => one - two));
  expect(Number(lastEventId.slice(4))).toBeLessThanOrEqual(numbers.at(-1) ?? 0);
  const final = JSON.parse(frames.at(-1)?.data ?? "") as Record<string, unknown>;
  expect(final).toMatchObject({ project: "demo", agentId: "one", provider: "pi", status: "idle", lastMessage: "last" });

  const got = await until("the webhook has come", () => receiver.received[0]);
  const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature } = got.headers;
  expect(got.headers["authorization"]).toBe("Bearer geheim");
  expect(signature).toBe(`v1,${createHmac("sha256", key).update(`${id}.${at}.${got.body}`).digest("base64")}`);
  const told = JSON.parse((got satisfies Received).body) as Record<string, unknown>;
  expect(told).toMatchObject({
    event: "agent_completed",
    project: "demo",
    agentId: "one",
    status: "idle",
    lastMessage: "last",
    deliveryId: final["deliveryId"],
    sessionKey: "k",
  });
  expect(id).toBe(final["deliveryId"]);

  const said = messages.parse((await api.ask("GET", "/projects/demo/agents/one/messages?role=assistant")).json);
  expect(said.messages.map(({ text }) => text)).toEqual(["first", "last"]);
  expect(said.lastAssistantMessage?.text).toBe("last");
  const list = agentList.parse((await api.ask("GET", "/projects/demo/agents")).json);
  expect(list.agents).toMatchObject([{ id: "one", status: "idle", brief: ["last"] }]);
  expect(list.agents[0]?.lastCapturedOutput).toContain("last");
  expect(projectWithAgents.parse((await api.ask("GET", "/projects/demo")).json).project.agentCount).toBe(1);
  expect(await readFile(list.agents[0]?.journal ?? "", "utf8")).toContain('"from":"stdout"');
});

test("what it asks is shown and answered once; an answer that comes late is told so", async () => {
  await create("ask run rm");
  const { pending } = await atStatus("waiting_input");
  expect(pending).toMatchObject({ kind: "permission", title: "run rm" });
  const respond = (pendingId: string) =>
    api.ask("POST", "/projects/demo/agents/one/respond", { json: { pendingId, decision: "allow" } });
  expect(await respond("other")).toMatchObject({ status: 409, json: { error: "PENDING_STALE" } });
  expect(await respond(pending?.id ?? "")).toMatchObject({ status: 202 });
  await atStatus("idle");
  expect(await respond(pending?.id ?? "")).toMatchObject({ status: 409, json: { error: "PENDING_STALE" } });
});

test("requests that are sent again with their key do nothing again", async () => {
  const file = join(trial.cwd, "ran");
  const headers = { "idempotency-key": "k-1" };
  const json = { provider: "pi", task: `tool ${file}`, name: "one" };
  const post = () => api.ask("POST", "/projects/demo/agents", { json, headers });
  const answers = await Promise.all([post(), post(), post()]);
  for (const { status, text } of answers) expect(status, text).toBe(201);
  await atStatus("idle");
  const input = () =>
    api.ask("POST", "/projects/demo/agents/one/input", {
      json: { text: `tool ${file}` },
      headers: { "idempotency-key": "k-2" },
    });
  for (const { status, text } of await Promise.all([input(), input()])) expect(status, text).toBe(202);
  await until("it ran twice", async () => (await readFile(file, "utf8")) === "ran\nran\n");
  await atStatus("idle");
  await api.ask("POST", "/projects/demo/agents/one/input", { json: { text: "say after" } });
  await until("it has said that", async () => {
    const { json: last } = await api.ask("GET", "/projects/demo/agents/one/messages/last?compact=1");
    return (last as { text: string }).text === "after";
  });
  expect(await readFile(file, "utf8")).toBe("ran\nran\n");
});

test("abort ends the turn, delete ends everything", async () => {
  const file = join(trial.cwd, "ran");
  await create(`tool ${file} ${join(trial.cwd, "never")}`);
  await until("the tool is at work", async () => (await readFile(file, "utf8").catch(() => "")) !== "");
  expect(await api.ask("POST", "/projects/demo/agents/one/abort")).toMatchObject({ status: 202 });
  await atStatus("idle");
  expect(await api.ask("DELETE", "/projects/demo/agents/one")).toMatchObject({ status: 204 });
  expect(await api.ask("GET", "/projects/demo/agents/one")).toMatchObject({ status: 404 });
  expect(await trial.running()).toEqual([]);
});

test.each([
  [{ name: "one" }, 409, "NAME_CONFLICT"],
  [{ name: "two", stack: 97 }, 409, "STACK_NOT_LAUNCHED"],
  [{ name: "two", subscription: "none" }, 400, "INVALID_REQUEST"],
  [{ name: "two", provider: "codex" }, 400, "INVALID_REQUEST"],
])("an agent with %j is refused as the seed says", async (more, status, error) => {
  await create("say one");
  expect(await create("say two", more)).toMatchObject({ status, json: { error } });
});
