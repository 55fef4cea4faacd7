import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { HarnessClient, StreamItem } from "../sessions/index.ts";
import { openTestApi, testToken } from "../testing/api.ts";
import { openDispatchClient } from "./dispatch-client.ts";

/* dispatch's client and the API that it is for, over HTTP: what one says, the other one understands. */

const agent = { provider: "codex", task: "Fix it.", name: "my-agent" } as const;

async function open() {
  const api = await openTestApi();
  const home = await mkdtemp(join(tmpdir(), "ah-client-"));
  onTestFinished(() => rm(home, { recursive: true }));
  const paths = { apiToken: join(home, "api-token") };
  const client = await openDispatchClient({ baseUrl: `${api.url}/`, token: testToken, paths });
  return { ...api, client };
}

/** The items of a stream until there are so many that say something. */
async function take(client: HarnessClient, since: number | undefined, count: number): Promise<StreamItem[]> {
  const ending = new AbortController();
  const items: StreamItem[] = [];
  for await (const item of client.events("shop", { since, signal: ending.signal })) {
    if (item.kind === "event" || item.kind === "gap") items.push(item);
    if (items.length === count) break;
  }
  ending.abort();
  return items;
}

test("projects and agents are made, shown, told, aborted and deleted", async () => {
  const { client, sessions } = await open();
  expect(await client.createProject({ name: "shop", cwd: "/work" })).toMatchObject({ name: "shop", cwd: "/work" });
  await expect(client.createProject({ name: "shop", cwd: "/work" })).rejects.toMatchObject({
    code: "PROJECT_EXISTS",
    context: { status: 409, error: "PROJECT_EXISTS" },
  });
  const made = await client.createAgent("shop", agent, "key-1");
  expect(made).toMatchObject({
    agent: { id: "my-agent", provider: "codex", status: "processing", attachCommand: "tmux attach -t my-agent" },
    lastEventId: 0,
  });
  expect(made.agent.logPath).toBe("/home/sessions/my-agent/journal.jsonl");
  expect(await client.createAgent("shop", agent, "key-1")).toEqual(made);
  expect(await client.getProject("shop")).toMatchObject({ agents: [{ id: "my-agent" }] });
  const pending = { id: "p", kind: "question" as const, title: "Which?", options: [], input: {} };
  sessions.change("my-agent", { status: "waiting_input", pending });
  expect(await client.getAgent("shop", "my-agent")).toMatchObject({ status: "waiting_input", waitsFor: "Which?" });
  await client.input("shop", "my-agent", "Go on.", "key-2");
  expect(sessions.calls.at(-1)).toEqual(["input", "shop", "my-agent", "Go on.", { idempotencyKey: "key-2" }]);
  await client.abort("shop", "my-agent");
  expect(await client.lastMessage("shop", "my-agent")).toBeUndefined();
  sessions.say("my-agent", { id: "m", at: 1, role: "assistant", text: "Done.", finishReason: "stop" });
  expect(await client.lastMessage("shop", "my-agent")).toBe("Done.");
  expect(await client.messages("shop", "my-agent", 5)).toEqual(["Done."]);
  expect(await client.output("shop", "my-agent", 10)).toBe("output of my-agent");
  await client.deleteAgent("shop", "my-agent");
  await expect(client.getAgent("shop", "my-agent")).rejects.toMatchObject({ context: { error: "AGENT_NOT_FOUND" } });
  await client.deleteProject("shop");
});

test("events come with their ids and all that they say", async () => {
  const { client, events } = await open();
  await client.createProject({ name: "shop", cwd: "/work" });
  const text = "a line\nand\u2028another";
  await events.append([{ type: "output", project: "shop", agentId: "a", data: { text } }]);
  expect(await take(client, 0, 1)).toEqual([
    {
      kind: "event",
      id: 1,
      type: "output",
      agentId: "a",
      data: expect.objectContaining({ id: "evt-1", text }),
    },
  ]);
});

test("after a gap of either kind the client knows where the stream goes on", async () => {
  const { client, events } = await open();
  await client.createProject({ name: "shop", cwd: "/work" });
  const event = { type: "output", project: "shop", agentId: "a", data: {} };
  await events.append([event, event, event]);
  events.prune(2);
  expect(await take(client, 0, 2)).toMatchObject([
    { kind: "gap", to: 2 },
    { kind: "event", id: 3 },
  ]);
  expect(await take(client, 900, 1)).toMatchObject([{ kind: "gap", to: 3 }]);
});
