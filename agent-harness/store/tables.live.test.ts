import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { refused } from "../testing/config-folder.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openTestStore, type TestStore } from "../testing/store.ts";
import { until } from "../testing/until.ts";
import type { NewStoredSession, Store } from "./index.ts";

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
    "TRUNCATE harness.messages, harness.sessions, harness.projects, harness.idempotency, harness.deliveries, harness.events",
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

/** How many statements wait for a lock. */
const waiting = async (): Promise<unknown> =>
  (await here.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rows[0]?.["n"];

/** Something to wait for, and what ends the wait. */
function gate(): { open: () => void; passed: Promise<void> } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

describe("projects", () => {
  test("are added once, changed, counted and removed when nothing is in them", async () => {
    const callback = { url: "http://127.0.0.1:1/hook", token: "t" };
    expect(await store.projects.add({ name: "q", cwd: "/q", stack: 3, callback })).toMatchObject({ agentCount: 0 });
    expect(await store.projects.add({ name: "q", cwd: "/other" })).toBeUndefined();
    expect(await store.projects.find("q")).toMatchObject({ name: "q", cwd: "/q", stack: 3, callback });
    expect((await store.projects.list()).map(({ name }) => name)).toEqual(["p", "q"]);
    expect(await store.projects.change("q", { cwd: "/new" })).toMatchObject({ cwd: "/new", callback });
    expect(await store.projects.change("q", { callback: null })).not.toHaveProperty("callback");
    expect(await store.projects.change("nobody", { cwd: "/" })).toBeUndefined();

    await store.sessions.add(session("a"));
    expect(await store.projects.find("p")).toMatchObject({ agentCount: 1 });
    expect(await store.projects.remove("p")).toBe("in_use");
    expect(await store.sessions.remove("a")).toBe(true);
    expect(await store.projects.remove("p")).toBe("removed");
    expect(await store.projects.remove("p")).toBe("missing");
    expect(await store.projects.find("p")).toBeUndefined();
  });

  test("a session that is added while its project is removed is refused", async () => {
    const [removed, end] = [gate(), gate()];
    const removing = store.transaction(async (tx) => {
      const done = await tx.projects.remove("p");
      removed.open();
      await end.passed;
      return done;
    });
    await removed.passed;
    const adding = store.sessions.add(session("a"));
    await until("the session waits for the project", async () => (await waiting()) === 1);
    end.open();
    expect(await removing).toBe("removed");
    expect(await adding).toBe("no_project");
  });

  test("a project is not removed while a session is being added", async () => {
    const [added, end] = [gate(), gate()];
    const adding = store.transaction(async (tx) => {
      const done = await tx.sessions.add(session("a"));
      added.open();
      await end.passed;
      return done;
    });
    await added.passed;
    const removing = store.projects.remove("p");
    await until("the removal waits for the session", async () => (await waiting()) === 1);
    end.open();
    expect(await adding).toBe("added");
    expect(await removing).toBe("in_use");
  });
});

describe("sessions", () => {
  test("come back with all their fields", async () => {
    const full: NewStoredSession = {
      ...session("a"),
      reason: "r\0r",
      pending: { id: "1", options: [] },
      model: "m",
      subscription: "s",
      stack: 4,
      permissions: "ask",
      callback: { url: "u" },
      providerSessionId: "ps",
      providerSessionFile: "/f",
      state: { reader: { text: "a\0b \ud800" }, list: [] },
      keeperPid: 12,
      keeperStarted: "34",
    };
    expect(await store.sessions.add(full)).toBe("added");
    expect(await store.sessions.add(session("a"))).toBe("taken");
    expect(await store.sessions.add(session("b", { project: "nobody" }))).toBe("no_project");
    const made = { createdAt: expect.any(Date), lastActivity: expect.any(Date), journalOffset: 0, firstEventId: 0 };
    expect(await store.sessions.find("a")).toEqual({ ...full, ...made, reason: "r\uFFFDr" });
    expect(await store.sessions.add(session("b"))).toBe("added");
    expect(await store.sessions.find("b")).toEqual({ ...session("b"), ...made });
    expect(await store.sessions.find("c")).toBeUndefined();
    expect((await store.sessions.list()).map(({ id }) => id)).toEqual(["a", "b"]);
    expect((await store.sessions.list({ project: "p", ids: ["b", "c"] })).map(({ id }) => id)).toEqual(["b"]);
    expect(await store.sessions.list({ project: "q" })).toEqual([]);
  });

  test("are changed only by who is right about where they stand", async () => {
    await store.sessions.add(session("a", { pending: { id: "1" } }));
    await store.leases.claim("a", "me", 60_000);
    const read = { status: "idle", pending: null, state: { n: 1 }, journalOffset: 100 };
    expect(await store.sessions.change("a", read, { journalOffset: 0, leaseOwner: "you" })).toBe(false);
    expect(await store.sessions.change("a", read, { journalOffset: 0, leaseOwner: "me" })).toBe(true);
    expect(await store.sessions.change("a", { status: "error" }, { journalOffset: 0 })).toBe(false);
    const found = await store.sessions.find("a");
    expect(found).toMatchObject({ status: "idle", state: { n: 1 }, journalOffset: 100, leaseOwner: "me" });
    expect(found).not.toHaveProperty("pending");
    expect(await store.sessions.change("a", {}, { journalOffset: 100 })).toBe(true);
    expect(await store.sessions.change("a", {}, { journalOffset: 101 })).toBe(false);
    expect(await store.sessions.change("nobody", { status: "idle" })).toBe(false);
  });

  test("two who read the same records: one commits, the other leaves nothing", async () => {
    await store.sessions.add(session("a"));
    const commit = (n: number) =>
      store.transaction(async (tx) => {
        if (!(await tx.sessions.change("a", { journalOffset: 50 }, { journalOffset: 0 }))) return false;
        await tx.append([{ type: "output", project: "p", agentId: "a", data: { n } }]);
        return true;
      });
    const done = await Promise.all([commit(1), commit(2), commit(3)]);
    expect(done.filter(Boolean)).toHaveLength(1);
    expect((await here.sql("SELECT FROM harness.events")).rowCount).toBe(1);
  });

  test("locked in a transaction, nobody else changes them before its end", async () => {
    await store.sessions.add(session("a"));
    const [locked, end] = [gate(), gate()];
    const holding = store.transaction(async (tx) => {
      const found = await tx.sessions.lock("a");
      locked.open();
      await end.passed;
      await tx.sessions.change("a", { reason: "first" });
      return found;
    });
    await locked.passed;
    const changing = store.sessions.change("a", { reason: "second" });
    await until("the other waits", async () => (await waiting()) === 1);
    end.open();
    expect(await holding).toMatchObject({ id: "a" });
    expect(await changing).toBe(true);
    expect(await store.sessions.find("a")).toMatchObject({ reason: "second" });
  });
});

test("messages are kept once an id, in the order in which they came, and go with their session", async () => {
  await store.sessions.add(session("a"));
  const message = (id: string, role: string, text: string, at = 1_000) => ({ id, at, role, text, finishReason: null });
  await store.messages.put("a", [message("1", "user", "hi", 5_000), message("2", "assistant", "he")]);
  await store.messages.put("a", [
    { ...message("2", "assistant", "hello\0"), finishReason: "stop", source: "protocol" },
    message("3", "user", "more"),
  ]);
  expect(await store.messages.list("a")).toEqual({
    messages: [
      { id: "1", at: 5_000, role: "user", text: "hi", finishReason: null },
      { id: "2", at: 1_000, role: "assistant", text: "hello\uFFFD", finishReason: "stop", source: "protocol" },
      { id: "3", at: 1_000, role: "user", text: "more", finishReason: null },
    ],
    total: 3,
  });
  const last = await store.messages.list("a", { limit: 1, role: "user" });
  expect(last).toMatchObject({ messages: [{ id: "3" }], total: 2 });
  expect(await store.messages.last("a", "assistant")).toMatchObject({ id: "2" });
  expect(await store.messages.last("a", "system")).toBeUndefined();
  expect(await store.messages.list("nobody")).toEqual({ messages: [], total: 0 });
  await store.sessions.remove("a");
  expect(await store.messages.list("a")).toEqual({ messages: [], total: 0 });
});

describe("transactions", () => {
  test("statements that are given at once run one after the other", async () => {
    const rows = await store.transaction((tx) =>
      Promise.all([1, 2, 3].map(async (n) => (await tx.query("SELECT $1::int AS n", [n])).rows[0]?.["n"])),
    );
    expect(rows).toEqual([1, 2, 3]);
  });

  test("two that lock each other out are both done in the end", async () => {
    for (const id of ["a", "b"]) await store.sessions.add(session(id, { reason: "" }));
    let met = 0;
    const both = gate();
    const change = (first: string, second: string) =>
      store.transaction(async (tx) => {
        await tx.query("UPDATE harness.sessions SET reason = reason || 'x' WHERE id = $1", [first]);
        met += 1;
        if (met === 2) both.open();
        await both.passed;
        await tx.query("UPDATE harness.sessions SET reason = reason || 'x' WHERE id = $1", [second]);
      });
    await Promise.all([change("a", "b"), change("b", "a")]);
    // The third time is the server's victim, which tries again.
    expect(met).toBeGreaterThan(2);
    expect((await store.sessions.list()).map(({ reason }) => reason)).toEqual(["xx", "xx"]);
  });

  test("one whose failed statement was swallowed does not pass for committed", async () => {
    const wrong = store.transaction(async (tx) => {
      await tx.projects.add({ name: "q", cwd: "/q" });
      await tx.query("SELECT 1 / 0").catch(() => undefined);
    });
    const error = await refused(wrong);
    expect(error).toMatchObject({ code: "INTERNAL" });
    expect(error.message).toBe("A transaction was to be committed after one of its statements had failed.");
    expect(await store.projects.find("q")).toBeUndefined();
  });

  test("a statement after the end is refused", async () => {
    let kept = (): Promise<unknown> => Promise.resolve();
    await store.transaction(async (tx) => {
      kept = () => tx.query("SELECT 1");
    });
    expect(await refused(kept())).toMatchObject({ message: "A statement was given to a transaction that is over." });
  });
});
