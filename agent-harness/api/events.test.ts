import { expect, onTestFinished, test } from "vitest";
import { HarnessError } from "../shared/errors.ts";
import type { NewEvent } from "../store/index.ts";
import { openTestApi, type TestApi, testToken } from "../testing/api.ts";
import { type Frame, type FrameReader, openFrames } from "../testing/sse.ts";
import { until } from "../testing/until.ts";

const id = "codex-brave-otter";
const authorization = `Bearer ${testToken}`;

async function open(options: Parameters<typeof openTestApi>[0] = {}) {
  const api = await openTestApi(options);
  await api.sessions.createProject({ name: "shop", cwd: "/" });
  await api.sessions.createProject({ name: "other", cwd: "/" });
  await api.sessions.create("shop", { provider: "codex", task: "t" });
  return api;
}

const event = (n: number, more: Partial<NewEvent> = {}): NewEvent => ({
  type: "output",
  project: "shop",
  agentId: id,
  data: { text: `line ${n}\nand\u2028more` },
  ...more,
});

async function follow(api: TestApi, path: string, headers: Record<string, string> = {}): Promise<FrameReader> {
  const reader = await openFrames(api.url + path, { authorization, ...headers });
  onTestFinished(() => reader[Symbol.asyncDispose]());
  return reader;
}

const project = "/projects/shop/events";
const agent = `/projects/shop/agents/${id}/events`;

async function take(reader: FrameReader, count: number): Promise<Frame[]> {
  const frames: Frame[] = [];
  while (frames.length < count) {
    const frame = await reader.next();
    if (frame === undefined) throw new Error(`The stream ended after ${frames.length} of ${count} frames.`);
    frames.push(frame);
  }
  return frames;
}

const ids = (frames: readonly Frame[]): (string | undefined)[] => frames.map((frame) => frame.id);

test("a frame has the event's id, its type, and all of it as JSON on one line", async () => {
  const api = await open();
  await api.events.append([
    event(1, { type: "tool_use", data: { tool: "bash", id: "mine", type: "mine", input: {} } }),
  ]);
  const reader = await follow(api, `${project}?since=evt-0`);
  expect(reader.status).toBe(200);
  expect(reader.headers).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
  });
  expect(await reader.any()).toEqual({ comment: "events after evt-0" });
  const [frame] = await take(reader, 1);
  expect(frame).toMatchObject({ id: "evt-1", event: "tool_use" });
  const json = JSON.parse(frame?.data ?? "") as Record<string, unknown>;
  expect(json).toEqual({
    id: "evt-1",
    ts: api.events.all[0]?.at.toISOString(),
    project: "shop",
    agentId: id,
    type: "tool_use",
    tool: "bash",
    input: {},
  });
  expect(Object.keys(json).slice(0, 5)).toEqual(["id", "ts", "project", "agentId", "type"]);
});

test("text with line ends and other separators comes as it was", async () => {
  const api = await open();
  await api.events.append([event(1)]);
  const [frame] = await take(await follow(api, `${project}?since=evt-0`), 1);
  expect(JSON.parse(frame?.data ?? "")).toMatchObject({ text: "line 1\nand\u2028more" });
});

test("a project's stream has its agents' events and its own, an agent's only that agent's, and one has all", async () => {
  const api = await open();
  await api.events.append([
    event(1),
    event(2, { project: "other" }),
    event(3, { agentId: "another" }),
    { type: "project_changed", project: "shop", data: {} },
    event(5),
  ]);
  expect(ids(await take(await follow(api, `${project}?since=evt-0`), 4))).toEqual(["evt-1", "evt-3", "evt-4", "evt-5"]);
  const frames = await take(await follow(api, `${agent}?since=evt-0`), 2);
  expect(ids(frames)).toEqual(["evt-1", "evt-5"]);
  const all = await take(await follow(api, "/events?since=evt-0"), 5);
  expect(ids(all)).toEqual(["evt-1", "evt-2", "evt-3", "evt-4", "evt-5"]);
});

test("without since only what is new comes, from the moment that the stream is open", async () => {
  const api = await open();
  await api.events.append([event(1), event(2)]);
  const reader = await follow(api, project);
  await api.events.append([event(3)]);
  expect(ids(await take(reader, 1))).toEqual(["evt-3"]);
});

test.each([
  [`${project}?since=evt-2`, {}, "evt-3"],
  [project, { "last-event-id": "evt-3" }, "evt-4"],
  // A browser that comes back asks with the address that it began with, and the id that it has come to.
  [`${project}?since=evt-1`, { "last-event-id": "evt-3" }, "evt-4"],
  [`${project}?since=evt-3`, { "last-event-id": "evt-1" }, "evt-4"],
])("%s with %j goes on with %s", async (path, headers, first) => {
  const api = await open();
  await api.events.append([1, 2, 3, 4].map((n) => event(n)));
  expect(ids(await take(await follow(api, path, headers), 1))).toEqual([first]);
});

test("a Last-Event-ID that is none is refused", async () => {
  const { ask } = await open();
  expect(await ask("GET", project, { headers: { "last-event-id": "17" } })).toMatchObject({
    status: 400,
    json: { error: "INVALID_REQUEST", message: expect.stringContaining("Last-Event-ID: ") },
  });
});

test("streams of what is not there are 404, and while the store is away 503", async () => {
  const api = await open();
  expect(await api.ask("GET", "/projects/none/events")).toMatchObject({ status: 404 });
  expect(await api.ask("GET", "/projects/shop/agents/none/events")).toMatchObject({ status: 404 });
  api.events.head = async () => {
    throw new HarnessError("POSTGRES_UNAVAILABLE", "gone");
  };
  expect(await api.ask("GET", project)).toMatchObject({ status: 503, json: { error: "POSTGRES_UNAVAILABLE" } });
});

test("events that are not kept any more are a gap that says which", async () => {
  const api = await open();
  await api.events.append([1, 2, 3, 4, 5].map((n) => event(n)));
  api.events.prune(3);
  const [gap, next] = await take(await follow(api, `${agent}?since=evt-1`), 2);
  expect(gap).toMatchObject({ event: "stream_gap", id: "evt-3" });
  expect(JSON.parse(gap?.data ?? "")).toEqual({
    id: "evt-3",
    ts: expect.any(String),
    type: "stream_gap",
    project: "shop",
    agentId: id,
    from: "evt-2",
    to: "evt-3",
    reason: "these events are not kept any more",
  });
  expect(next?.id).toBe("evt-4");
});

test("a client that is beyond the end of the log is told where the stream goes on", async () => {
  const api = await open();
  await api.events.append([event(1), event(2)]);
  const reader = await follow(api, `${project}?since=evt-900`);
  const [gap] = await take(reader, 1);
  expect(gap).toMatchObject({ event: "stream_gap", id: "evt-2" });
  expect(JSON.parse(gap?.data ?? "")).toMatchObject({ from: "evt-900", to: "evt-2", reason: "the log ends at 2" });
  await api.events.append([event(3)]);
  expect(ids(await take(reader, 1))).toEqual(["evt-3"]);
});

test("without news a heartbeat comes, with news none in between", async () => {
  const api = await open({ heartbeatMs: 20 });
  const reader = await follow(api, project);
  expect(await reader.any()).toEqual({ comment: "events after evt-0" });
  for (let beat = 0; beat < 3; beat += 1) expect(await reader.any()).toEqual({ event: "heartbeat", data: "" });
  await api.events.append([event(1)]);
  expect(ids(await take(reader, 1))).toEqual(["evt-1"]);
});

test("a client that leaves ends its subscription", async () => {
  const api = await open();
  const reader = await follow(api, project);
  await until("it is open", () => api.events.open === 1);
  await reader[Symbol.asyncDispose]();
  await until("it is closed", () => api.events.open === 0);
  // One more request, after which whatever went wrong with the stream has been told.
  await api.ask("GET", "/health");
  expect(api.reported).toEqual([]);
});

test("HEAD opens no subscription", async () => {
  const api = await open();
  expect(await api.ask("HEAD", project)).toMatchObject({ status: 200, text: "" });
  expect(api.events.open).toBe(0);
});

test("a client that does not read holds only what fits on the way to it, and misses nothing when it does", async () => {
  const api = await open();
  const count = 20_000;
  const text = "x".repeat(2000);
  const all = Array.from({ length: count }, () => event(0, { data: { text } }));
  await api.events.append(all);
  const reader = await follow(api, `${project}?since=evt-0`);
  // Another one that does read, and began later: while it is given all, the first one could have been given as much.
  await take(await follow(api, `${project}?since=evt-0`), count);
  // The buffers of both sockets hold a few megabytes of these forty.
  expect(api.events.taken - count).toBeGreaterThan(0);
  expect(api.events.taken - count).toBeLessThan(count / 2);
  const frames = await take(reader, count);
  expect(ids(frames)).toEqual(Array.from({ length: count }, (_, at) => `evt-${at + 1}`));
}, 30_000);

test("two hundred clients at once get the same", async () => {
  const api = await open();
  const readers = await Promise.all(Array.from({ length: 200 }, () => follow(api, `${project}?since=evt-0`)));
  for (let batch = 0; batch < 10; batch += 1) {
    await api.events.append(Array.from({ length: 10 }, (_, n) => event(n)));
  }
  const all = await Promise.all(readers.map((reader) => take(reader, 100)));
  const wanted = Array.from({ length: 100 }, (_, at) => `evt-${at + 1}`);
  for (const frames of all) expect(ids(frames)).toEqual(wanted);
  expect(api.events.open).toBe(200);
}, 30_000);

test("a feed that fails ends the stream, so that the client comes back", async () => {
  const api = await open();
  await api.events.append([event(1)]);
  const { subscribe } = api.events;
  api.events.subscribe = async function* (filter, options) {
    for await (const one of subscribe(filter, options)) {
      yield one;
      throw new Error("no more");
    }
  };
  const reader = await follow(api, `${project}?since=evt-0`);
  expect(ids(await take(reader, 1))).toEqual(["evt-1"]);
  expect(await reader.any()).toEqual({ comment: "the stream ends: no more" });
  expect(await reader.any()).toBeUndefined();
  expect(api.reported).toHaveLength(1);
});

test("a server that stops ends its streams with a last line", async () => {
  const api = await open();
  const readers = await Promise.all([follow(api, project), follow(api, agent)]);
  for (const reader of readers) await reader.any();
  await until("they are open", () => api.events.open === 2);
  await api.api.stop();
  for (const reader of readers) {
    expect(await reader.any()).toEqual({ comment: "the stream ends; come back with the last id" });
    expect(await reader.any()).toBeUndefined();
  }
  expect(api.events.open).toBe(0);
});
