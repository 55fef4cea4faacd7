import { once } from "node:events";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { refused } from "../testing/config-folder.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";
import { until } from "../testing/until.ts";
import type { NewEvent, Store } from "./index.ts";

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

const news = (n: number): NewEvent => ({ type: "output", project: "p", agentId: "a", data: { n } });

/** The `n` of the events in the log, in the order of the ids, which have no holes. */
async function inLog(store: Store): Promise<unknown[]> {
  const events = await store.events.read({}, { since: 0, limit: 100_000 });
  expect(events.map(({ id }) => id)).toEqual(events.map((_, at) => at + 1));
  return events.map(({ data }) => data["n"]);
}

/** What subscribers are told until they are stopped, an array each. */
function subscribers(store: Store, count: number) {
  const seen = Array.from({ length: count }, (): unknown[] => []);
  const endings = seen.map(() => new AbortController());
  const runs = seen.map(async (mine, at) => {
    const signal = endings[at]?.signal ?? AbortSignal.abort();
    for await (const feed of store.events.subscribe({}, { since: 0, signal })) {
      mine.push(feed.kind === "event" ? feed.event.data["n"] : feed);
    }
  });
  return {
    seen,
    ended: Promise.all(runs),
    all: (length: number) =>
      until("everybody has them all", () => seen.every((mine) => mine.length === length), 30_000),
    stop: async () => {
      for (const ending of endings) ending.abort();
      await Promise.all(runs);
    },
  };
}

/** Ends connections that a store has to its database, as if a network were cut. */
const cut = (name = "agent-harness store%") =>
  here.sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE $1",
    [name],
  );

describe("killed in the middle", () => {
  test("nothing of a transaction whose process is killed is there, and its ids are given to the next one", async () => {
    const store = await here.open();
    await store.events.append([news(1)]);
    const holder = here.start({ do: "hold" });
    expect([await holder.line(), await holder.line()]).toEqual(["open", "holding"]);
    let appended = false;
    const next = store.events.append([news(2)]).then((made) => {
      appended = true;
      return made;
    });
    const waits = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    await until("the append waits for the other's commit", async () => (await here.sql(waits)).rows[0]?.["n"] === 1);
    expect(appended).toBe(false);
    holder.child.kill("SIGKILL");
    expect(await next).toMatchObject([{ id: 2, data: { n: 2 } }]);
    expect(await inLog(store)).toEqual([1, 2]);
    expect(await store.projects.list()).toEqual([]);
  });
});

describe("Postgres away", () => {
  test.each(["SIGINT", "SIGQUIT"] as const)(
    "stopped by %s and started under subscribers: none misses an event or gets one twice",
    async (signal) => {
      const store = await here.open();
      const watching = subscribers(store, 20);
      await store.events.append([news(1)]);
      await watching.all(1);
      const { child } = postgres;
      child().kill(signal);
      await once(child(), "exit");

      const error = await refused(store.events.append([news(0)]));
      expect(error).toMatchObject({
        code: "STORE_UNAVAILABLE",
        kind: "unavailable",
        hint: "Run: agent-harness infra up",
      });
      const where = `database ${here.options.database} of Postgres at 127.0.0.1:${postgres.server.port}`;
      expect(error.message).toContain(`The store, ${where}, does not answer: `);
      expect(JSON.stringify(error)).not.toContain(postgres.server.password);
      expect(await refused(store.transaction((tx) => tx.append([news(0)])))).toMatchObject({
        code: "STORE_UNAVAILABLE",
      });
      expect(await refused(store.events.head())).toMatchObject({ code: "STORE_UNAVAILABLE" });
      expect(await refused(here.open())).toMatchObject({ code: "STORE_UNAVAILABLE" });

      await postgres.start();
      // The pool may still hold connections whose end it has not heard of.
      await until("the log takes events again", () => store.events.append([news(2)]).catch(() => undefined));
      expect(await inLog(store)).toEqual([1, 2]);
      await watching.all(2);
      expect(watching.seen).toEqual(Array.from({ length: 20 }, () => [1, 2]));
      await watching.stop();
    },
  );

  test("a store is closed, and its subscriptions end, whether Postgres is there or not", async () => {
    const store = await here.open();
    const watching = subscribers(store, 2);
    await store.events.append([news(1)]);
    await watching.all(1);
    await postgres.stop();
    await store[Symbol.asyncDispose]();
    // Without their signals: they end because the store did.
    await watching.ended;
    await postgres.start();
  });
});

describe("connections cut by the server", () => {
  test("the one that listens: subscribers go on with what came meanwhile", async () => {
    const store = await here.open();
    const watching = subscribers(store, 20);
    const sent: number[] = [];
    for (let n = 1; n <= 40; n += 1) {
      await store.events.append([news(n)]);
      sent.push(n);
      if (n % 10 === 0) {
        await watching.all(n);
        expect((await cut("agent-harness store listener")).rowCount).toBe(1);
      }
    }
    await watching.all(40);
    expect(watching.seen).toEqual(Array.from({ length: 20 }, () => sent));
    await watching.stop();
  });

  test("all of them, again and again: each event is in the log once, in order", async () => {
    const store = await here.open();
    const watching = subscribers(store, 5);
    await store.events.append([news(0)]);
    await watching.all(1);
    let done = false;
    const cutting = (async () => {
      while (!done) await cut();
    })();
    const sent = Array.from({ length: 100 }, (_, at) => at + 1);
    // What is refused may be in the log all the same, so who tries again looks first.
    const isIn = async (n: number): Promise<boolean> => (await inLog(store)).at(-1) === n;
    let refusals = 0;
    for (const n of sent) {
      await until(`${n} is in the log`, async () => {
        try {
          return (await isIn(n)) || (await store.events.append([news(n)])).length === 1;
        } catch (error) {
          expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
          refusals += 1;
          return false;
        }
      });
    }
    done = true;
    await cutting;
    expect(refusals).toBeGreaterThan(0);
    const all = await until("the log is read", () => inLog(store).catch(() => undefined));
    expect(all).toEqual([0, ...sent]);
    await watching.all(101);
    expect(watching.seen).toEqual(Array.from({ length: 5 }, () => [0, ...sent]));
    await watching.stop();
  });
});

test("a log that is shorter than it was is said to be", async () => {
  const store = await here.open();
  await store.events.append([1, 2, 3, 4].map(news));
  const watching = subscribers(store, 1);
  await watching.all(4);
  // What a server without fsync loses when its machine does.
  await here.sql("DELETE FROM harness.events WHERE id > 2; UPDATE harness.event_log SET last_id = 2");
  await cut("agent-harness store listener");
  await until("the gap is told", () => watching.seen[0]?.length === 5);
  await store.events.append([news(5)]);
  await watching.all(6);
  expect(watching.seen[0]).toMatchObject([1, 2, 3, 4, { kind: "gap", from: 3, to: 4 }, 5]);
  await watching.stop();
});
