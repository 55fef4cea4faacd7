import { once } from "node:events";
import { connect } from "node:net";
import { expect, it } from "vitest";
import { openModelServer } from "./model-server.ts";

const tools = [{ name: "Bash" }];

async function ask(url: string, body: object, path = "/v1/messages?beta=true"): Promise<Response> {
  return await fetch(`${url}${path}`, { method: "POST", body: JSON.stringify(body) });
}

/** The data of a stream of events, without what they are called. */
async function events(response: Response): Promise<{ type: string; [key: string]: unknown }[]> {
  const blocks = (await response.text()).split("\n\n").filter((block) => block !== "");
  return blocks.map((block) => JSON.parse(block.slice(block.indexOf("data: ") + 6)));
}

it("streams a text and a call of a tool in Anthropic's protocol, and sees the tool's result", async () => {
  const seen: boolean[] = [];
  await using server = await openModelServer({
    script: ({ hasToolResult, count }) => {
      seen.push(hasToolResult);
      return count === 1 ? { kind: "tool", name: "Bash", input: { command: "id" } } : { kind: "text", text: "Done." };
    },
  });
  const called = await events(
    await ask(server.url, { stream: true, tools, messages: [{ role: "user", content: "x" }] }),
  );
  expect(called.map(({ type }) => type)).toEqual([
    ...["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"],
    "message_stop",
  ]);
  expect(called[1]).toMatchObject({ content_block: { type: "tool_use", name: "Bash", input: {} } });
  expect(called[2]).toMatchObject({ delta: { partial_json: '{"command":"id"}' } });
  expect(called[4]).toMatchObject({ delta: { stop_reason: "tool_use" } });
  const messages = [{ role: "user", content: [{ type: "tool_result", content: "root" }] }];
  expect(await (await ask(server.url, { tools, messages })).json()).toMatchObject({
    content: [{ type: "text", text: "Done." }],
    stop_reason: "end_turn",
  });
  expect(seen).toEqual([false, true]);
});

it("answers errors with their status and when to ask again, and side questions without the script", async () => {
  await using server = await openModelServer({
    script: () => ({ kind: "error", status: 429, message: "slow down", retryAfterSeconds: 7 }),
  });
  const refused = await ask(server.url, { tools, messages: [] });
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "7"]);
  expect(await refused.json()).toMatchObject({
    type: "error",
    error: { type: "rate_limit_error", message: "slow down" },
  });
  expect((await ask(server.url, { messages: [] })).status).toBe(200);
  expect(await (await ask(server.url, {}, "/v1/messages/count_tokens")).json()).toEqual({ input_tokens: 12 });
  expect((await fetch(`${server.url}/api/hello`, { method: "HEAD" })).status).toBe(200);
  expect(server.turns()).toHaveLength(1);
  expect(server.requests.map(({ side, protocol }) => [protocol, side])).toEqual([
    ["messages", false],
    ["messages", true],
    [undefined, false],
    [undefined, false],
  ]);
});

it("tells what a script threw, refuses a WebSocket, and closes with a request that hangs", async () => {
  const server = await openModelServer({
    script: ({ count }) => {
      if (count === 1) throw new Error("not in the script");
      return { kind: "hang" };
    },
  });
  expect((await ask(server.url, { tools })).status).toBe(500);
  expect(server.failures).toEqual(["not in the script"]);
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  socket.write("GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const [answer] = await once(socket, "data");
  expect(String(answer)).toMatch(/^HTTP\/1\.1 426 /);
  const hanging = ask(server.url, { tools }).then(
    () => "answered",
    () => "closed",
  );
  while (server.turns().length < 2) await new Promise((resolve) => setImmediate(resolve));
  await server[Symbol.asyncDispose]();
  expect(await hanging).toBe("closed");
  socket.destroy();
});
