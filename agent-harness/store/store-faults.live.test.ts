import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { HarnessError } from "../shared/errors.ts";
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

/** The files that wait. */
const waiting = async (): Promise<string[]> => (await readdir(here.options.spool).catch(() => [])).sort();

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

  test("what waits in a file gets into the log once, also when its process is killed before it has removed the file", async () => {
    const first = await here.open();
    await mkdir(here.options.spool, { recursive: true });
    await first[Symbol.asyncDispose]();
    for (const n of [1, 2]) {
      const text = JSON.stringify({ version: 1, key: `key-${n}`, events: [news(n), news(n + 10)] });
      await writeFile(join(here.options.spool, `00000000000000${n}-key-${n}.json`), text);
    }
    for (let time = 1; time <= 2; time += 1) {
      expect(await here.start({ do: "die instead of removing a file" }).ended).toMatchObject({ signal: "SIGKILL" });
      expect(await waiting()).toHaveLength(2);
      expect((await here.sql("SELECT count(*)::int AS n FROM harness.events")).rows).toEqual([{ n: 2 }]);
    }
    expect(await inLog(await here.open())).toEqual([1, 11, 2, 12]);
    expect(await waiting()).toEqual([]);
  });

  test("a commit that was not confirmed is not made again", async () => {
    await using proxy = await openProxy(postgres.server.port);
    const store = await here.open({ server: { ...postgres.server, port: proxy.port } });
    await store.appendOrSpool([news(1)]);
    proxy.loseCommits(true);
    expect(await store.appendOrSpool([news(2)])).toBeUndefined();
    expect(await store.appendOrSpool([news(3)])).toBeUndefined();
    expect((await waiting()).length).toBeGreaterThan(0);
    proxy.loseCommits(false);
    expect(await store.appendOrSpool([news(4)])).toMatchObject([{ id: 4 }]);
    expect(await inLog(store)).toEqual([1, 2, 3, 4]);
    expect(await waiting()).toEqual([]);
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

      // At once: they are kept in the order of the calls.
      const spooled = [2, 3, 4].map((n) => store.appendOrSpool([news(n), news(n + 0.5)]));
      expect(await Promise.all(spooled)).toEqual([undefined, undefined, undefined]);
      expect(await waiting()).toHaveLength(3);
      for (const file of await waiting()) {
        expect((await stat(join(here.options.spool, file))).mode & 0o777).toBe(0o600);
      }
      expect((await stat(here.options.spool)).mode & 0o777).toBe(0o700);

      await postgres.start();
      // What comes after the files waits for them, also where it would not go into a file itself.
      expect(await store.events.append([news(5)])).toMatchObject([{ id: 8 }]);
      expect(await inLog(store)).toEqual([1, 2, 2.5, 3, 3.5, 4, 4.5, 5]);
      expect(await waiting()).toEqual([]);
      await watching.all(8);
      expect(watching.seen).toEqual(Array.from({ length: 20 }, () => [1, 2, 2.5, 3, 3.5, 4, 4.5, 5]));
      await watching.stop();
    },
  );

  test("what waits gets into the log by itself", async () => {
    const store = await here.open();
    await postgres.stop();
    await store.appendOrSpool([news(1)]);
    await postgres.start();
    await until("the file is gone", async () => (await waiting()).length === 0);
    expect(await inLog(store)).toEqual([1]);
  });

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

  test("the files of a daemon that is gone are taken by one that runs", async () => {
    const store = await here.open();
    await mkdir(here.options.spool);
    const batch = { version: 1, key: "left", events: [news(1)] };
    await writeFile(join(here.options.spool, "000000000000001-left.json"), JSON.stringify(batch));
    await until("the file is gone", async () => (await waiting()).length === 0);
    expect(await inLog(store)).toEqual([1]);
  });

  test("a file that cannot be used is put aside and said; the rest gets into the log", async () => {
    await mkdir(here.options.spool);
    const bad = JSON.stringify({ version: 1, key: "bad", events: [{ type: "a\0b", project: "p", data: {} }] });
    const good = JSON.stringify({ version: 1, key: "good", events: [news(1)] });
    await writeFile(join(here.options.spool, "000000000000001-half.json"), '{"version":1,"ke');
    await writeFile(join(here.options.spool, "000000000000002-bad.json"), bad);
    await writeFile(join(here.options.spool, "000000000000003-good.json"), good);
    const problems: HarnessError[] = [];
    const store = await here.open({ report: (problem) => problems.push(problem) });
    expect(await inLog(store)).toEqual([1]);
    const kept = await waiting();
    expect(kept).toEqual([
      expect.stringMatching(/^000000000000001-half\.json\.corrupt-/),
      expect.stringMatching(/^000000000000002-bad\.json\.corrupt-/),
    ]);
    expect(await readFile(join(here.options.spool, kept[1] ?? ""), "utf8")).toBe(bad);
    expect(problems.map(({ code, hint }) => [code, hint])).toEqual(
      kept.map((file) => ["STATE_UNREADABLE", `Look at ${join(here.options.spool, file)}`]),
    );
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
    let spooled = 0;
    for (const n of sent) if ((await store.appendOrSpool([news(n)])) === undefined) spooled += 1;
    done = true;
    await cutting;
    expect(spooled).toBeGreaterThan(0);
    await until("nothing waits", async () => (await waiting()).length === 0);
    // The pool may still hold connections whose end it has not heard of.
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

/** Passes everything on to a port; told so, it cuts a connection when the answer to its COMMIT comes. */
async function openProxy(port: number) {
  let losing = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    let committing = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (data) => {
      committing = losing && data.includes("COMMIT");
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (committing) client.destroy();
      else client.write(data);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    loseCommits: (now: boolean) => {
      losing = now;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
