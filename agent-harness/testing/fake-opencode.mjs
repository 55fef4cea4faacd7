#!/usr/bin/env node
/*
 * `opencode serve` at its worst: it cuts its stream of events when a turn begins, asks for a permission while nobody listens,
 * and says idle before it begins and twice at the end. Without network and model; started by the bridge like the real one.
 */
import { createServer } from "node:http";

const session = "ses_fake";
const expected = `Basic ${Buffer.from(`opencode:${process.env["OPENCODE_SERVER_PASSWORD"]}`).toString("base64")}`;
const listeners = new Set();
const messages = [];
let permissions = [];
let busy = false;
let count = 0;

const tell = (type, properties) => {
  for (const one of listeners) one.write(`data: ${JSON.stringify({ id: `evt_${++count}`, type, properties })}\n\n`);
};
const status = (type) => tell("session.status", { sessionID: session, status: { type } });

function add(role, text) {
  const id = `msg_${String(++count).padStart(4, "0")}`;
  const info = { id, sessionID: session, role, time: { created: 1, completed: 2 }, finish: "stop" };
  const time = role === "assistant" ? { time: { start: 1, end: 2 } } : {};
  messages.push({ info, parts: [{ id: `prt_${id}`, messageID: id, sessionID: session, type: "text", text, ...time }] });
  return info;
}

function begin(text) {
  status("idle");
  tell("message.updated", { info: add("user", text) });
  busy = true;
  for (const one of listeners) one.destroy();
  listeners.clear();
  permissions = [
    { id: "per_1", sessionID: session, permission: "bash", patterns: ["ls"], metadata: { command: "ls" } },
  ];
}

function reply({ reply: said }) {
  permissions = [];
  add("assistant", `It was: ${said}.`);
  busy = false;
  for (const one of listeners) one.destroy();
  listeners.clear();
}

const routes = {
  "POST /session": () => ({ id: session }),
  "GET /permission": () => permissions,
  "GET /question": () => [],
  "GET /session/status": () => (busy ? { [session]: { type: "busy" } } : {}),
  [`GET /session/${session}/message`]: () => messages,
  [`POST /session/${session}/prompt_async`]: ({ parts }) => begin(parts[0].text),
  "POST /permission/per_1/reply": reply,
};

const server = createServer(async (request, response) => {
  if (request.headers.authorization !== expected) {
    response.writeHead(401).end();
    return;
  }
  const path = request.url.split("?")[0];
  if (path === "/event") {
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    listeners.add(response);
    tell("server.connected", {});
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const route = routes[`${request.method} ${path}`];
  if (route === undefined) {
    response.writeHead(404).end("{}");
    return;
  }
  const answer = route(body === "" ? {} : JSON.parse(body));
  response.writeHead(answer === undefined ? 204 : 200).end(answer === undefined ? "" : JSON.stringify(answer));
});

process.on("SIGTERM", () => process.exit(0));
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`opencode server listening on http://127.0.0.1:${server.address().port}\n`);
});
