import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";
import type { NewDelivery, NewStoredSession, Store } from "./index.ts";

let postgres: TestPostgres;
let here: TestStore;
let store: Store;
beforeAll(async () => {
  postgres = await openTestPostgres();
  here = await openTestStore(postgres);
  store = await here.open();
});
afterAll(async () => {
  await here[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await here.sql(
    "TRUNCATE harness.messages, harness.sessions, harness.projects, harness.idempotency, harness.deliveries",
  );
  await store.projects.add({ name: "p", cwd: "/p" });
});

const session = (id: string, more: Partial<NewStoredSession> = {}): NewStoredSession => ({
  id,
  project: "p",
  provider: "codex",
  runIn: "tmux",
  status: "starting",
  task: "do it",
  cwd: "/p",
  attachCommand: "tmux attach",
  journal: "/home/journal.jsonl",
  ...more,
});

describe("leases", () => {
  const pass = (id: string) =>
    here.sql("UPDATE harness.sessions SET lease_until = now() - interval '1 ms' WHERE id = $1", [id]);
  beforeEach(async () => {
    for (const id of ["a", "b", "c"]) await store.sessions.add(session(id, { status: id === "c" ? "exited" : "idle" }));
  });

  test("one owner a session, until it gives it back or its time is over", async () => {
    expect(await store.leases.claim("a", "me", 60_000)).toBe(true);
    expect(await store.leases.claim("a", "me", 60_000)).toBe(true);
    expect(await store.leases.claim("a", "you", 60_000)).toBe(false);
    expect(await store.leases.claim("nobody", "me", 60_000)).toBe(false);
    await store.leases.release("you", ["a"]);
    expect(await store.leases.claim("a", "you", 60_000)).toBe(false);
    await pass("a");
    expect(await store.leases.claim("a", "you", 60_000)).toBe(true);
    expect(await store.leases.renew("me", 60_000)).toEqual([]);
    await store.leases.release("you");
    expect(await store.leases.claim("a", "me", 60_000)).toBe(true);
  });

  test("who renews in time keeps what nobody else took, by the server's clock", async () => {
    const claimed = await store.leases.claimFree("me", 60_000, { except: ["exited"] });
    expect(claimed.toSorted()).toEqual(["a", "b"]);
    await pass("a");
    expect(await store.leases.claimFree("you", 60_000, { limit: 1 })).toEqual(["a"]);
    await pass("b");
    expect(await store.leases.renew("me", 60_000)).toEqual(["b"]);
    const left = "SELECT extract(epoch FROM lease_until - now())::int AS s FROM harness.sessions WHERE id = 'b'";
    expect((await here.sql(left)).rows[0]?.["s"]).toBeGreaterThan(50);
    expect(await store.leases.claimFree("you", 60_000, { except: ["exited"] })).toEqual([]);
  });

  test("those of another home are not taken, by name or as free ones, nor are their owners told", async () => {
    await store.sessions.add(session("there", { home: "other:/h" }));
    const [here, there] = [{ home: "mine:/h" }, { home: "other:/h" }];
    expect(await store.leases.claim("there", "me", 60_000, here)).toBe(false);
    expect((await store.leases.claimFree("me", 60_000, here)).toSorted()).toEqual(["a", "b", "c"]);
    expect(await store.leases.claim("there", "you", 60_000, there)).toBe(true);
    expect(await store.leases.owners(here)).toEqual(["me"]);
    await pass("there");
    expect(await store.leases.claimFree("me", 60_000, here)).toEqual([]);
    expect(await store.leases.claimFree("you", 60_000, there)).toEqual(["there"]);
  });

  test("many who claim at once: each session has one owner", async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `s-${n}`);
    for (const id of ids) await store.sessions.add(session(id));
    const owners = Array.from({ length: 6 }, (_, n) => `owner-${n}`);
    const claimed = await Promise.all(owners.map((owner) => store.leases.claimFree(owner, 60_000, { limit: 20 })));
    const rest = await store.leases.claimFree("last", 60_000);
    expect([...claimed.flat(), ...rest].toSorted()).toEqual([...ids, "a", "b", "c"].toSorted());
  });
});

describe("idempotency keys", () => {
  test("say what came of what was asked for, a scope each", async () => {
    expect(await store.idempotency.take("create p", "k", { request: "r" })).toEqual({ fresh: true });
    expect(await store.idempotency.take("create p", "k", { request: "other" })).toEqual({ fresh: false, request: "r" });
    await store.idempotency.finish("create p", "k", { id: "a" });
    expect(await store.idempotency.take("create p", "k", { request: "r" })).toEqual({
      fresh: false,
      request: "r",
      result: { id: "a" },
    });
    expect(await store.idempotency.take("create q", "k", { request: "r", result: 1 })).toEqual({ fresh: true });
    expect(await store.idempotency.find("create q", "k")).toEqual({ request: "r", result: 1 });
    expect(await store.idempotency.find("create q", "other")).toBeUndefined();
    await here.sql("UPDATE harness.idempotency SET at = now() - interval '3 hours'");
    expect(await store.idempotency.prune(4)).toBe(0);
    expect(await store.idempotency.prune(2)).toBe(2);
  });

  test("the same key at the same time: one does it, the other is told what came of it", async () => {
    const create = (id: string) =>
      store.transaction(async (tx) => {
        const taken = await tx.idempotency.take("create p", "k", { request: "r", result: { id } });
        if (taken.fresh) await tx.sessions.add(session(id));
        return taken.fresh ? id : (taken.result as { id: string }).id;
      });
    const ids = await Promise.all(["a", "b", "c", "d"].map(create));
    expect(new Set(ids).size).toBe(1);
    expect((await store.sessions.list()).map(({ id }) => id)).toEqual([ids[0]]);
  });

  test("those of a session are gone with it, so that another one of its name begins anew", async () => {
    await store.sessions.add(session("a"));
    await store.idempotency.take("create p", "k", { request: "r" });
    await store.idempotency.finish("create p", "k", { id: "a" }, { session: "a" });
    await store.idempotency.take("input a", "k", { request: "r", result: true, session: "a" });
    await store.idempotency.take("create p", "other", { request: "r" });
    await store.sessions.remove("a");
    expect(await store.idempotency.find("create p", "k")).toBeUndefined();
    expect(await store.idempotency.find("input a", "k")).toBeUndefined();
    expect(await store.idempotency.find("create p", "other")).toEqual({ request: "r" });
  });

  test("a key is free again when what it was taken for was not done", async () => {
    const failing = store.transaction(async (tx) => {
      await tx.idempotency.take("create p", "k", { request: "r", result: 1 });
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await store.idempotency.take("create p", "k", { request: "r" })).toEqual({ fresh: true });
  });
});

describe("deliveries", () => {
  const delivery = (id: string): NewDelivery => ({
    id,
    event: "agent_completed",
    project: "p",
    agentId: "a",
    url: "http://127.0.0.1:1/hook",
    token: "secret",
    body: '{"x":1}',
  });
  const attempt = (number: number) => ({ attempt: number, at: "2026-01-01T00:00:00.000Z", ms: 3, status: 500 });
  const pass = () => here.sql("UPDATE harness.deliveries SET next_at = now() - interval '1 ms'");

  test("are tried until they are delivered; each attempt is written down, the receiver's secret is not shown", async () => {
    expect(await store.deliveries.nextInMs()).toBeUndefined();
    expect(await store.deliveries.add(delivery("d"))).toBe(true);
    expect(await store.deliveries.add(delivery("d"))).toBe(false);
    expect(await store.deliveries.nextInMs()).toBe(0);
    const { token, ...shown } = delivery("d");
    expect(await store.deliveries.claim(5, 60_000)).toMatchObject([{ ...shown, token, attempts: 1, log: [] }]);
    expect(await store.deliveries.claim(5, 60_000)).toEqual([]);
    expect(await store.deliveries.settle("d", attempt(1), { state: "pending", inMs: 30_000 })).toBe(true);
    const nextInMs = await store.deliveries.nextInMs();
    expect(nextInMs).toBeGreaterThan(20_000);
    expect(nextInMs).toBeLessThanOrEqual(30_000);
    expect(await store.deliveries.claim(5, 60_000)).toEqual([]);
    await pass();
    expect(await store.deliveries.claim(5, 60_000)).toMatchObject([{ id: "d", attempts: 2 }]);
    const error = "reset\0";
    expect(await store.deliveries.settle("d", { ...attempt(2), error }, { state: "delivered" })).toBe(true);
    expect(await store.deliveries.settle("d", attempt(2), { state: "failed" })).toBe(false);
    const log = [attempt(1), { ...attempt(2), error: "reset\uFFFD" }];
    expect(await store.deliveries.find("d")).toMatchObject({ ...shown, state: "delivered", attempts: 2, log });
    expect(await store.deliveries.find("d")).not.toHaveProperty("token");
    expect(await store.deliveries.nextInMs()).toBeUndefined();
  });

  test("one whose claimer was killed is claimed again, and what the late one says does not count", async () => {
    await store.deliveries.add(delivery("d"));
    await store.deliveries.claim(1, 60_000);
    await pass();
    expect(await store.deliveries.claim(1, 60_000)).toMatchObject([{ id: "d", attempts: 2 }]);
    expect(await store.deliveries.settle("d", attempt(1), { state: "failed" })).toBe(false);
    expect(await store.deliveries.settle("d", attempt(2), { state: "delivered" })).toBe(true);
  });

  test("many who claim at once never have the same one", async () => {
    const ids = Array.from({ length: 40 }, (_, n) => `d-${n}`);
    for (const id of ids) await store.deliveries.add(delivery(id));
    const claimed = await Promise.all(Array.from({ length: 8 }, () => store.deliveries.claim(10, 60_000)));
    const rest = await store.deliveries.claim(40, 60_000);
    expect([...claimed.flat(), ...rest].map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  test("are listed, counted and forgotten when they are old and settled", async () => {
    for (const id of ["1", "2", "3"]) await store.deliveries.add(delivery(id));
    await store.deliveries.add({ ...delivery("4"), project: "q", agentId: "b" });
    await store.deliveries.claim(1, 60_000);
    await store.deliveries.settle("1", attempt(1), { state: "failed" });
    expect(await store.deliveries.count()).toEqual({ pending: 3, delivered: 0, failed: 1 });
    expect((await store.deliveries.list({ state: "failed" })).map(({ id }) => id)).toEqual(["1"]);
    expect((await store.deliveries.list({ project: "q", agentId: "b" })).map(({ id }) => id)).toEqual(["4"]);
    expect(await store.deliveries.list({ limit: 2 })).toHaveLength(2);
    await here.sql("UPDATE harness.deliveries SET created_at = now() - interval '3 days'");
    expect(await store.deliveries.prune(2)).toBe(1);
    expect(await store.deliveries.count()).toEqual({ pending: 3, delivered: 0, failed: 0 });
  });
});
