import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Store } from "../store/index.ts";
import { openTestApi, testToken } from "../testing/api.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openFrames } from "../testing/sse.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";

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

async function open(store: Store) {
  const api = await openTestApi({ events: store.events });
  await api.sessions.createProject({ name: "shop", cwd: "/" });
  return `${api.url}/projects/shop/events`;
}

const headers = { authorization: `Bearer ${testToken}` };

/** Follows a project to its event `last`, leaving and coming back after a few events each time; gives the ids it saw. */
async function followWithBreaks(urls: readonly string[], last: number, seed: number): Promise<number[]> {
  const seen: number[] = [];
  for (let visit = 0; seen.at(-1) !== last; visit += 1) {
    const url = urls[(seed + visit) % urls.length] ?? "";
    const since = `evt-${seen.at(-1) ?? 0}`;
    const wait =
      visit % 2 === 0 ? { query: `?since=${since}`, more: {} } : { query: "", more: { "last-event-id": since } };
    await using reader = await openFrames(url + wait.query, { ...headers, ...wait.more });
    const stay = 1 + ((seed * 7919 + visit * 104_729) % 400);
    for (let count = 0; count < stay && seen.at(-1) !== last; count += 1) {
      const frame = await reader.next();
      if (frame === undefined) break;
      seen.push(Number(frame.id?.slice("evt-".length)));
    }
  }
  return seen;
}

test("two hundred clients of two daemons, who leave and come back, each see every event once and in order", async () => {
  const stores = [await here.open(), await here.open()];
  const urls = await Promise.all(stores.map(open));
  const count = 2000;
  // Some follow every project.
  const everywhere = urls.map((url) => url.replace("/projects/shop", ""));
  const urlsOf = (seed: number): string[] => (seed % 10 === 0 ? everywhere : urls);
  const clients = Array.from({ length: 200 }, (_, seed) => followWithBreaks(urlsOf(seed), count, seed));
  for (let batch = 0; batch < count / 20; batch += 1) {
    const store = stores[batch % 2] as Store;
    await store.events.append(
      Array.from({ length: 20 }, (_, n) => ({ type: "output", project: "shop", agentId: "a", data: { batch, n } })),
    );
  }
  const wanted = Array.from({ length: count }, (_, at) => at + 1);
  for (const seen of await Promise.all(clients)) expect(seen).toEqual(wanted);
}, 60_000);

test("what was pruned is a gap, and a client that knows of events from another log is told where this one ends", async () => {
  const store = await here.open();
  const url = await open(store);
  const event = { type: "output", project: "shop", agentId: "a", data: {} };
  await store.events.append(Array.from({ length: 20 }, () => event));
  await store.prune({ keepEvents: 5 });
  await using old = await openFrames(`${url}?since=evt-3`, headers);
  expect(await old.next()).toMatchObject({ event: "stream_gap", id: "evt-15" });
  expect(await old.next()).toMatchObject({ id: "evt-16" });
  await using beyond = await openFrames(`${url}?since=evt-700`, headers);
  const gap = await beyond.next();
  expect(gap).toMatchObject({ event: "stream_gap", id: "evt-20" });
  expect(JSON.parse(gap?.data ?? "")).toMatchObject({ from: "evt-700", to: "evt-20" });
  await store.events.append([event]);
  expect(await beyond.next()).toMatchObject({ id: "evt-21" });
});
