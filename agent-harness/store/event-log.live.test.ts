import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";
import { until } from "../testing/until.ts";
import type { EventFilter, EventLog, Feed, NewEvent, StoredEvent } from "./event.ts";

let postgres: TestPostgres;
let here: TestStore;
beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  here = await openTestStore(postgres);
});
afterEach(() => here[Symbol.asyncDispose]());

const news = (n: number, project = "p", agentId = "a"): NewEvent => ({ type: "output", project, agentId, data: { n } });
const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);

/** Takes so many of what a subscription gives, then ends it. */
async function take(log: EventLog, filter: EventFilter, since: number | undefined, count: number): Promise<Feed[]> {
  const ending = new AbortController();
  const taken: Feed[] = [];
  const options = { ...(since === undefined ? {} : { since }), signal: ending.signal };
  for await (const feed of log.subscribe(filter, options)) {
    taken.push(feed);
    if (taken.length === count) break;
  }
  ending.abort();
  return taken;
}

const ids = (feeds: readonly Feed[]): number[] => feeds.map((feed) => (feed.kind === "event" ? feed.event.id : -1));

/** Keeps what a subscription gives until it is stopped. */
function collect(log: EventLog, filter: EventFilter, since?: number) {
  const ending = new AbortController();
  const feeds: Feed[] = [];
  const done = (async () => {
    const options = { ...(since === undefined ? {} : { since }), signal: ending.signal };
    for await (const feed of log.subscribe(filter, options)) feeds.push(feed);
  })();
  const stop = async (): Promise<void> => {
    ending.abort();
    await done;
  };
  return { feeds, stop };
}

test("ids begin at 1, times rise with them, and events come back as they were", async () => {
  const { events } = await here.open();
  expect(await events.head()).toBe(0);
  expect(await events.append([])).toEqual([]);
  const odd = {
    nul: "a\0b",
    half: "\ud800",
    text: `ü "' \u2028 ${"x".repeat(100_000)}`,
    deep: { list: [1, null, true] },
  };
  const made = await events.append([
    { type: "output", project: "p", agentId: "a", data: odd },
    { type: "project_created", project: "q", data: {} },
  ]);
  expect(made.map(({ id }) => id)).toEqual([1, 2]);
  expect(made[0]?.at.getTime()).toBeGreaterThan(Date.now() - 60_000);
  expect(await events.append([news(3)])).toMatchObject([{ id: 3, data: { n: 3 } }]);
  expect(await events.head()).toBe(3);
  expect(await events.read({}, { since: 0, limit: 2 })).toEqual(made);
  expect(await events.read({ project: "q" }, { since: 0, limit: 9 })).toEqual([made[1]]);
  expect(await events.newest({}, { since: new Date(0), limit: 2 })).toMatchObject([{ id: 2 }, { id: 3 }]);
  expect(await events.newest({ project: "q" }, { since: new Date(0), limit: 9 })).toEqual([made[1]]);
  expect(await events.newest({}, { since: new Date(Date.now() + 60_000), limit: 9 })).toEqual([]);
  expect(await events.read({ project: "p", agentId: "a" }, { since: 1, limit: 9 })).toMatchObject([{ id: 3 }]);
});

test("a subscription without `since` begins when it is made, not when it is first read", async () => {
  const { events } = await here.open();
  await events.append([news(1)]);
  const ending = new AbortController();
  const feeds = events.subscribe({}, { signal: ending.signal })[Symbol.asyncIterator]();
  // One connection has read the position, the one that listens has looked for events since.
  const idle = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'";
  const asked = async (what: string) =>
    (await here.sql(`${idle} AND starts_with(ltrim(query, E' \\n'), $1)`, [what])).rows[0]?.["n"];
  await until(
    "the position is known",
    async () => (await asked("SELECT last_id")) === 1 && (await asked("SELECT retention")) === 1,
  );
  await events.append([news(2), news(3)]);
  expect(await feeds.next()).toMatchObject({ value: { kind: "event", event: { id: 2 } } });
  expect(await feeds.next()).toMatchObject({ value: { kind: "event", event: { id: 3 } } });
  const waiting = feeds.next();
  ending.abort();
  expect(await waiting).toMatchObject({ done: true });
});

test("two processes append 10,000 events at once while 200 subscribers reconnect: none is lost, none comes twice", async () => {
  const store = await here.open();
  const total = 10_000;
  const projects = ["one", "two"];
  const writers = projects.map((project) => here.start({ do: "append", project, count: total / 2 }));
  const filters: EventFilter[] = [{}, {}, {}, { project: "one" }, { project: "two", agentId: "two-3" }];
  const mostOnOneConnection = 900;
  let stopped = false;
  const subscribers = range(200).map((number) => {
    const filter = filters[number % filters.length] ?? {};
    const seen: number[] = [];
    let connection = new AbortController();
    let connections = 0;
    const run = async (): Promise<void> => {
      while (!stopped) {
        connection = new AbortController();
        connections += 1;
        let left = 1 + Math.floor(Math.random() * mostOnOneConnection);
        for await (const feed of store.events.subscribe(filter, {
          since: seen.at(-1) ?? 0,
          signal: connection.signal,
        })) {
          if (feed.kind === "gap") throw new Error(`a gap: ${JSON.stringify(feed)}`);
          seen.push(feed.event.id);
          left -= 1;
          if (left === 0) break;
        }
        connection.abort();
      }
    };
    return { filter, seen, run: run(), end: () => connection.abort(), connections: () => connections };
  });
  try {
    const ended = await Promise.all(writers.map(({ ended }) => ended));
    expect(ended).toEqual(projects.map(() => ({ code: 0, signal: null, stderr: "" })));
    const all = (await here.sql("SELECT id, project, agent_id FROM harness.events ORDER BY id")).rows;
    expect(all.map(({ id }) => Number(id))).toEqual(range(total));
    for (const { filter, seen } of subscribers) {
      const wanted = all
        .filter((row) => filter.project === undefined || row["project"] === filter.project)
        .filter((row) => filter.agentId === undefined || row["agent_id"] === filter.agentId)
        .map(({ id }) => Number(id));
      await until("a subscriber has them all", () => seen.at(-1) === wanted.at(-1), 30_000);
      expect(seen).toEqual(wanted);
    }
    const ofAll = subscribers.filter(({ filter }) => Object.keys(filter).length === 0);
    const fewest = Math.ceil(total / mostOnOneConnection);
    expect(Math.min(...ofAll.map(({ connections }) => connections()))).toBeGreaterThanOrEqual(fewest);
  } finally {
    stopped = true;
    for (const { end } of subscribers) end();
    await Promise.all(subscribers.map(({ run }) => run));
  }
});

test("each process's own events are in the order in which it appended them", async () => {
  const store = await here.open();
  const events = range(300).map((n) => news(n));
  for (let at = 0; at < events.length; at += 7) await store.events.append(events.slice(at, at + 7));
  const stored: StoredEvent[] = await store.events.read({}, { since: 0, limit: 1000 });
  expect(stored.map(({ data }) => data["n"])).toEqual(range(300));
  const times = stored.map(({ at }) => at.getTime());
  expect(times).toEqual(times.toSorted((a, b) => a - b));
});

test("a subscriber that is slow reads from the table what is not in memory any more", async () => {
  const { events } = await here.open();
  const ending = new AbortController();
  const slow = events.subscribe({}, { since: 0, signal: ending.signal })[Symbol.asyncIterator]();
  await events.append([news(1)]);
  expect(await slow.next()).toMatchObject({ value: { event: { id: 1 } } });
  const quick = collect(events, {}, 0);
  for (let at = 0; at < 10; at += 1) await events.append(range(1000).map((n) => news(n)));
  await until("the quick one has all", () => quick.feeds.length === 10_001);
  const got = [1];
  while (got.length < 10_001) got.push(((await slow.next()).value as { event: StoredEvent }).event.id);
  expect(got).toEqual(range(10_001));
  ending.abort();
  await quick.stop();
});

describe("what is not there", () => {
  test("what was deleted is a gap, once, and the rest follows", async () => {
    const store = await here.open();
    await store.events.append(range(20).map((n) => news(n)));
    expect(await store.prune({ keepEvents: 5 })).toEqual({ deleted: 15, lowest: 16 });
    expect(await store.prune({ keepEvents: 100, keepDays: 1 })).toEqual({ deleted: 0, lowest: 16 });
    const gap = { kind: "gap", from: 4, to: 15, reason: "these events are not kept any more" };
    const feeds = await take(store.events, {}, 3, 6);
    expect(feeds[0]).toEqual(gap);
    expect(ids(feeds.slice(1))).toEqual([16, 17, 18, 19, 20]);
    // 15 is gone, but who has seen it misses nothing.
    expect(ids(await take(store.events, {}, 15, 5))).toEqual([16, 17, 18, 19, 20]);
  });

  test("all can be deleted, and ids go on", async () => {
    const store = await here.open();
    await store.events.append(range(3).map((n) => news(n)));
    await here.sql("UPDATE harness.events SET at = at - interval '3 days'");
    await store.events.append([news(4)]);
    expect(await store.prune({ keepDays: 2 })).toEqual({ deleted: 3, lowest: 4 });
    expect(await store.prune({ keepEvents: 0 })).toEqual({ deleted: 1, lowest: 5 });
    expect(await store.events.append([news(5)])).toMatchObject([{ id: 5 }]);
    expect(await take(store.events, {}, 0, 2)).toMatchObject([
      { kind: "gap", from: 1, to: 4 },
      { kind: "event", event: { id: 5 } },
    ]);
  });

  test("what is deleted under a slow subscriber is a gap in the middle", async () => {
    const store = await here.open();
    const log = await here.open();
    await store.events.append(range(600).map((n) => news(n)));
    const ending = new AbortController();
    const slow = log.events.subscribe({}, { since: 0, signal: ending.signal })[Symbol.asyncIterator]();
    const first = await slow.next();
    await store.prune({ keepEvents: 10 });
    const rest: Feed[] = [];
    while (rest.length === 0 || ids(rest).at(-1) !== 600) rest.push((await slow.next()).value as Feed);
    ending.abort();
    const gap = rest.findIndex((feed) => feed.kind === "gap");
    const seen = [1, ...ids(rest.slice(0, gap))];
    expect(first.value).toMatchObject({ event: { id: 1 } });
    expect(seen).toEqual(range(seen.length));
    expect(rest[gap]).toMatchObject({ from: seen.length + 1, to: 590 });
    expect(ids(rest.slice(gap + 1))).toEqual(range(10).map((n) => 590 + n));
  });

  test("beyond the head is a gap, and what comes after the head follows", async () => {
    const { events } = await here.open();
    await events.append([news(1), news(2)]);
    const ending = new AbortController();
    const feeds = events.subscribe({}, { since: 500, signal: ending.signal })[Symbol.asyncIterator]();
    const { value: gap } = await feeds.next();
    expect(gap).toEqual({
      kind: "gap",
      from: 3,
      to: 500,
      reason: "the log ends at 2: these events are not in it",
    });
    await events.append([news(3)]);
    expect(await feeds.next()).toMatchObject({ value: { event: { id: 3 } } });
    ending.abort();
  });

  test("a notice is not believed: one without an event gives nothing", async () => {
    const { events } = await here.open();
    const watching = collect(events, {}, 0);
    await take(events, {}, 9, 1);
    await here.sql("NOTIFY agent_harness_events, '{\"id\":7}'");
    await events.append([news(1)]);
    await until("the event is told", () => watching.feeds.length > 0);
    expect(ids(watching.feeds)).toEqual([1]);
    await watching.stop();
  });
});
