import { expect, test } from "vitest";
import { openTestApi } from "../testing/api.ts";
import {
  agentList,
  compactAgentList,
  createdAgent,
  createdCompactAgent,
  debug,
  oneAgent,
  oneCompactAgent,
} from "./schemas-agent.ts";

const task = { provider: "codex", task: "Fix it." };
const id = "codex-brave-otter";

async function open() {
  const api = await openTestApi();
  await api.sessions.createProject({ name: "shop", cwd: "/work/shop" });
  api.sessions.calls.length = 0;
  return { ...api, create: (json: object = task) => api.ask("POST", "/projects/shop/agents", { json }) };
}

const message = (role: "user" | "assistant", text: string) => ({ id: text, at: 5, role, text, finishReason: null });

test("an agent is created with all that it may be given, and shown without its token", async () => {
  const { create, sessions, events } = await open();
  await events.append([{ type: "x", project: "shop", data: {} }]);
  const given = {
    ...task,
    name: "my-agent",
    model: "m",
    subscription: "work",
    runIn: "headless",
    stack: 3,
    permissions: "edits",
    callback: { url: "http://127.0.0.1:1/", token: "geheim", discordChannel: "#c" },
  };
  const created = await create(given);
  expect(created.status).toBe(201);
  expect(created.headers.get("x-agent-harness-mode")).toBe("full");
  expect(sessions.calls[0]).toEqual(["create", "shop", given]);
  expect(created.text).not.toContain("geheim");
  expect(created.json).toEqual({
    agent: {
      id: "my-agent",
      project: "shop",
      provider: "codex",
      status: "processing",
      brief: [],
      task: "Fix it.",
      model: "m",
      runIn: "headless",
      cwd: "/work/shop",
      stack: 3,
      windowName: "my-agent",
      tmuxTarget: "my-agent:agent",
      attachCommand: "tmux attach -t my-agent",
      subscriptionId: "work",
      callback: { url: "http://127.0.0.1:1/", discordChannel: "#c" },
      providerRuntimeDir: "/home/sessions/my-agent",
      journal: "/home/sessions/my-agent/journal.jsonl",
      createdAt: "1970-01-01T00:00:00.000Z",
      lastActivity: "1970-01-01T00:00:01.000Z",
      lastCapturedOutput: "output of my-agent",
    },
    lastEventId: "evt-1",
  });
  createdAgent.strict().parse(created.json);
});

test("with compact only what a program needs is shown", async () => {
  const { ask, sessions } = await open();
  const created = await ask("POST", "/projects/shop/agents?compact=1", { json: task });
  expect(created.headers.get("x-agent-harness-mode")).toBe("compact");
  const attachCommand = `tmux attach -t ${id}`;
  const tmuxTarget = `${id}:agent`;
  expect(created.json).toEqual({
    agent: { id, status: "processing", tmuxTarget, attachCommand },
    lastEventId: "evt-0",
  });
  createdCompactAgent.strict().parse(created.json);
  sessions.say(id, message("assistant", "one"), message("user", "no"), message("assistant", "\n two\nmore\n"));
  for (const compact of ["true", " TRUE ", "1"]) {
    const one = await ask("GET", `/projects/shop/agents/${id}?compact=${encodeURIComponent(compact)}`);
    expect(one.json).toEqual({ agent: { id, status: "processing", tmuxTarget, brief: ["one", "two"] } });
    oneCompactAgent.strict().parse(one.json);
  }
  sessions.change(id, { status: "idle" });
  const list = await ask("GET", "/projects/shop/agents?compact=1");
  expect(list.json).toEqual({ agents: [{ id, provider: "codex", status: "idle", tmuxTarget, brief: ["two"] }] });
  compactAgentList.strict().parse(list.json);
  const full = await ask("GET", "/projects/shop/agents?compact=no");
  expect(full.headers.get("x-agent-harness-mode")).toBe("full");
  agentList.strict().parse(full.json);
});

test("an agent that waits shows what for, and one without tmux has no window", async () => {
  const { ask, create, sessions } = await open();
  await create();
  const pending = {
    id: "p1",
    kind: "permission" as const,
    title: "rm -rf build",
    options: [{ id: "allow", label: "Allow" }],
    input: { command: ["rm"] },
  };
  const provider = { providerSessionId: "t-1", providerSessionFile: "/logs/t-1.jsonl" };
  sessions.change(id, { status: "waiting_input", pending, reason: "asks", ...provider });
  const one = await ask("GET", `/projects/shop/agents/${id}`);
  expect(one.json).toMatchObject({
    agent: { pending, reason: "asks", ...provider },
    status: "waiting_input",
    lastOutput: `output of ${id}`,
  });
  oneAgent.strict().parse(one.json);
  const { tmuxTarget: _, ...headless } = await sessions.get("shop", id);
  sessions.change(id, { ...headless, tmuxTarget: "" });
  expect((await ask("GET", `/projects/shop/agents/${id}`)).json).toMatchObject({ agent: { tmuxTarget: "" } });
});

test.each([
  [{ task: "t" }, "body.provider: is missing; it takes one of claude-code, codex, opencode, pi"],
  [{ provider: "emacs", task: "t" }, 'body.provider: takes one of claude-code, codex, opencode, pi, not "emacs"'],
  [{ provider: "codex" }, "body.task: is missing; it takes a text"],
  [{ provider: "codex", task: "" }, "body.task: must not be empty"],
  [{ provider: "codex", task: ["t"] }, "body.task: takes a text, not a list"],
  [
    { provider: "codex", task: 7, runIn: null },
    "body.task: takes a text, not 7; body.runIn: takes one of tmux, headless, not null",
  ],
  [{ ...task, name: "No Good" }, "body.name: an agent's name is 3 to 40 small letters, digits and -"],
  [{ ...task, name: "ab" }, "body.name: "],
  [{ ...task, runIn: "screen" }, 'body.runIn: takes one of tmux, headless, not "screen"'],
  [{ ...task, permissions: "some" }, 'body.permissions: takes one of ask, edits, all, not "some"'],
  [{ ...task, stack: 100 }, "body.stack: takes a whole number from 1 to 99"],
  [{ ...task, stack: 1.5 }, "body.stack: takes a whole number from 1 to 99"],
  [{ ...task, callback: {} }, "body.callback.url: is missing; it takes a text"],
  [{ ...task, callback: { url: "no" } }, "body.callback.url: must be a URL, such as http://127.0.0.1:9000/hook"],
  [[], "body: takes an object, not a list"],
  [{ ...task, callback: { url: "http://192.168.1.1/" } }, "private address"],
])("%j starts nothing", async (json, text) => {
  const { create, sessions } = await open();
  expect(await create(json)).toMatchObject({
    status: 400,
    json: { error: "INVALID_REQUEST", message: expect.stringContaining(text) },
  });
  expect(sessions.calls).toEqual([]);
});

test("the same Idempotency-Key gives the same agent; a key that is none is refused", async () => {
  const { ask, sessions } = await open();
  const post = (key: string) =>
    ask("POST", "/projects/shop/agents", { json: task, headers: { "idempotency-key": key } });
  const [first, second] = [await post("k-1"), await post("k-1")];
  expect(first.status).toBe(201);
  expect(second.json).toEqual(first.json);
  expect(sessions.calls.filter(([what]) => what === "create").map(([, , wanted]) => wanted)).toEqual([
    { ...task, idempotencyKey: "k-1" },
    { ...task, idempotencyKey: "k-1" },
  ]);
  expect(await post("k-2")).toMatchObject({ status: 409, json: { error: "NAME_CONFLICT" } });
  for (const key of ["a b", "x".repeat(256)]) {
    expect(await post(key)).toMatchObject({ status: 400, json: { error: "INVALID_REQUEST" } });
  }
});

test("an agent that is deleted while a list is made is left out", async () => {
  const { ask, create, sessions } = await open();
  await create();
  await create({ ...task, name: "other" });
  const { output } = sessions;
  sessions.output = async (project, agent, lines) => {
    if (agent === "other") await sessions.delete(project, agent);
    return await output(project, agent, lines);
  };
  const list = await ask("GET", "/projects/shop/agents");
  expect(list.json).toMatchObject({ agents: [{ id }] });
});

test("debugging shows the agent's own last events", async () => {
  const { ask, create, events } = await open();
  await create();
  const event = (agentId: string, n: number) => ({ type: "output", project: "shop", agentId, data: { n } });
  await events.append([event("other", 0), ...Array.from({ length: 60 }, (_, n) => event(id, n))]);
  const shown = await ask("GET", `/projects/shop/agents/${id}/debug`);
  debug.parse(shown.json);
  const { debug: found } = shown.json as { debug: { agent: { id: string }; events: { id: string; n: number }[] } };
  expect(found.agent.id).toBe(id);
  expect(found.events.map((one) => one.n)).toEqual(Array.from({ length: 50 }, (_, at) => at + 10));
  expect(found.events[0]).toMatchObject({ id: "evt-12", type: "output", project: "shop", agentId: id });
});

test("a deleted agent is gone", async () => {
  const { ask, create } = await open();
  await create();
  expect(await ask("DELETE", `/projects/shop/agents/${id}`)).toMatchObject({ status: 204, text: "" });
  for (const [method, path] of [
    ["GET", ""],
    ["DELETE", ""],
    ["GET", "/debug"],
    ["GET", "/output"],
    ["GET", "/messages"],
    ["GET", "/messages/last"],
    ["GET", "/events"],
    ["POST", "/abort"],
  ] as const) {
    expect(await ask(method, `/projects/shop/agents/${id}${path}`)).toMatchObject({
      status: 404,
      json: { error: "AGENT_NOT_FOUND" },
    });
  }
});
