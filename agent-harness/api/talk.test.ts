import { expect, test } from "vitest";
import type { SessionMessage } from "../sessions/index.ts";
import { openTestApi } from "../testing/api.ts";
import { lastMessage, messages, output } from "./schemas-agent.ts";

const path = "/projects/shop/agents/codex-brave-otter";

async function open() {
  const api = await openTestApi();
  await api.sessions.createProject({ name: "shop", cwd: "/work/shop" });
  await api.sessions.create("shop", { provider: "codex", task: "t" });
  api.sessions.calls.length = 0;
  return api;
}

const said = (role: SessionMessage["role"], text: string): SessionMessage => ({
  id: `m-${text}`,
  at: 1000,
  role,
  text,
  finishReason: role === "assistant" ? "stop" : null,
});

test("input is delivered, once for a key", async () => {
  const { ask, sessions } = await open();
  const answer = await ask("POST", `${path}/input`, { json: { text: "Go on." } });
  expect(answer).toMatchObject({ status: 202, json: { delivered: true } });
  await ask("POST", `${path}/input`, { json: { text: "Go on." }, headers: { "idempotency-key": "k" } });
  expect(sessions.calls).toEqual([
    ["input", "shop", "codex-brave-otter", "Go on.", {}],
    ["input", "shop", "codex-brave-otter", "Go on.", { idempotencyKey: "k" }],
  ]);
  for (const json of [{}, { text: "" }, { text: 3 }]) {
    expect(await ask("POST", `${path}/input`, { json })).toMatchObject({
      status: 400,
      json: { error: "INVALID_REQUEST" },
    });
  }
});

test("what is pending is answered by a decision or by answers; a stale id is a conflict", async () => {
  const { ask, sessions } = await open();
  const pending = { id: "p1", kind: "permission" as const, title: "t", options: [], input: {} };
  sessions.change("codex-brave-otter", { pending });
  const respond = (json: object) => ask("POST", `${path}/respond`, { json });
  expect(await respond({ pendingId: "p1", decision: "allow" })).toMatchObject({
    status: 202,
    json: { delivered: true },
  });
  await respond({ pendingId: "p1", decision: "deny", message: "Not now." });
  await respond({ pendingId: "p1", answers: { "Which?": ["a", "b"], "Why?": "so" } });
  expect(sessions.calls.map((call) => call.slice(3))).toEqual([
    ["p1", { decision: "allow" }],
    ["p1", { decision: "deny", message: "Not now." }],
    ["p1", { answers: { "Which?": ["a", "b"], "Why?": "so" } }],
  ]);
  expect(await respond({ pendingId: "p0", decision: "allow" })).toMatchObject({
    status: 409,
    json: { error: "PENDING_STALE" },
  });
});

test.each([
  [{ decision: "allow" }, "body.pendingId: is missing; it takes a text"],
  [{ pendingId: "p", decision: "yes" }, 'body.decision: takes one of allow, allow_always, deny, not "yes"'],
  [{ pendingId: "p" }, "body: takes either decision (allow, allow_always, deny), for a permission, or answers, for a"],
  [{ pendingId: "p", decision: "deny", answers: { a: "b" } }, "body: takes either decision"],
  [{ pendingId: "p", answers: "Red" }, 'body.answers: takes an object, not "Red"'],
  [{ pendingId: "p", answers: { "Which?": 3 } }, "body.answers.Which?: takes a text or a list, not 3"],
  [{ pendingId: "p", answers: { a: [1] } }, "body.answers.a.0: takes a text, not 1"],
  [undefined, "The body is missing, give JSON; body.pendingId: is missing; it takes a text"],
])("the answer %j is refused with what it takes", async (json, message) => {
  const { ask, sessions } = await open();
  expect(await ask("POST", `${path}/respond`, { json })).toMatchObject({
    status: 400,
    json: { error: "INVALID_REQUEST", message: expect.stringContaining(message) },
  });
  expect(sessions.calls).toEqual([]);
});

test("a turn is aborted, with or without a body", async () => {
  const { ask, sessions } = await open();
  for (const options of [{}, { json: {} }, { body: "not JSON" }]) {
    expect(await ask("POST", `${path}/abort`, options)).toMatchObject({ status: 202, json: { sent: true } });
  }
  expect(sessions.calls).toHaveLength(3);
});

test("output has as many lines as were asked for", async () => {
  const { ask } = await open();
  const shown = await ask("GET", `${path}/output?lines=7`);
  expect(shown.json).toEqual({ output: "output of codex-brave-otter", lines: 7 });
  output.strict().parse(shown.json);
  expect((await ask("GET", `${path}/output`)).json).toMatchObject({ lines: 200 });
  expect((await ask("GET", `${path}/output?lines=10000`)).status).toBe(200);
});

const taken: Record<string, string> = {
  lines: "takes a whole number from 1 to 10000",
  limit: "takes a whole number from 1 to 500",
  role: "takes one of all, user, assistant, system, developer, not",
  since: "an event's id is evt-<number>, such as evt-0",
};

test.each([
  "output?lines=0",
  "output?lines=10001",
  "output?lines=abc",
  "output?lines=",
  "output?lines=1.5",
  "output?lines=-1",
  "output?lines=99999999999999999999",
  "messages?limit=0",
  "messages?limit=501",
  "messages?limit=many",
  "messages?role=robot",
  "messages?role=",
  "events?since=7",
  "events?since=evt-",
  "events?since=evt--1",
  "events?since=evt-1x",
  "events?since=",
])("%s is refused", async (bad) => {
  const { ask, sessions } = await open();
  const [, field = ""] = /\?(\w+)=/.exec(bad) ?? [];
  expect(await ask("GET", `${path}/${bad}`)).toMatchObject({
    status: 400,
    json: { error: "INVALID_REQUEST", message: expect.stringContaining(`query.${field}: ${taken[field]}`) },
  });
  expect(sessions.calls).toEqual([]);
});

test("messages are shown with where they come from", async () => {
  const { ask, sessions } = await open();
  sessions.say("codex-brave-otter", said("user", "Do it."), said("assistant", "First."), said("assistant", "Last."));
  sessions.say("codex-brave-otter", { ...said("user", "And?"), source: "session_log" });
  const shown = await ask("GET", `${path}/messages?limit=2`);
  const last = {
    id: "m-Last.",
    ts: "1970-01-01T00:00:01.000Z",
    role: "assistant",
    text: "Last.",
    finishReason: "stop",
    sourceRecord: "protocol",
  };
  expect(shown.json).toEqual({
    provider: "codex",
    source: "protocol",
    messages: [
      last,
      { ...last, id: "m-And?", role: "user", text: "And?", finishReason: null, sourceRecord: "session_log" },
    ],
    lastAssistantMessage: last,
    totalMessages: 4,
    truncated: true,
    parseErrorCount: 0,
    warnings: [],
  });
  messages.strict().parse(shown.json);
  const users = await ask("GET", `${path}/messages?role=user`);
  expect(users.json).toMatchObject({ totalMessages: 2, truncated: false, lastAssistantMessage: last });
  const only = await ask("GET", `${path}/messages/last`);
  expect(only.json).toEqual({
    provider: "codex",
    source: "protocol",
    lastAssistantMessage: last,
    parseErrorCount: 0,
    warnings: [],
  });
  lastMessage.strict().parse(only.json);
  const compact = await ask("GET", `${path}/messages/last?compact=1`);
  expect(compact.json).toEqual({ text: "Last." });
  expect(compact.headers.get("x-agent-harness-mode")).toBe("compact");
});

test("an agent that has said nothing has no last message", async () => {
  const { ask } = await open();
  expect((await ask("GET", `${path}/messages/last`)).json).toMatchObject({ lastAssistantMessage: null });
  expect((await ask("GET", `${path}/messages/last?compact=1`)).json).toEqual({ text: null });
});

test("lines that could not be understood are told", async () => {
  const { ask, sessions } = await open();
  const { messages: read } = sessions;
  sessions.messages = async (...query) => ({ ...(await read(...query)), parseErrors: 2 });
  expect((await ask("GET", `${path}/messages`)).json).toMatchObject({
    parseErrorCount: 2,
    warnings: ["2 lines could not be understood"],
  });
});
