import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTimeOf } from "../shared/process-tree.ts";
import { build } from "../testing/crash.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openSessionsTrial, type SessionsTrial } from "../testing/sessions-trial.ts";
import { until } from "../testing/until.ts";
import { type RunWay, runWays } from "./session.ts";
import { findKeeper, sessionFolder } from "./session-folder.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  await build();
  postgres = await openTestPostgres();
});
afterAll(async () => await postgres[Symbol.asyncDispose]());

/** What the session said, in order, by its log of events. */
const said = async (trial: SessionsTrial, id: string): Promise<unknown[]> =>
  (await trial.events(id)).filter(({ type }) => type === "output").map(({ data }) => data["text"]);

const typesOf = async (trial: SessionsTrial, id: string): Promise<string[]> =>
  (await trial.events(id)).map(({ type }) => type);

const journalOf = async (trial: SessionsTrial, id: string): Promise<string> =>
  await readFile(sessionFolder(trial.home, id).journal, "utf8").catch(() => "");

const ranOnce = async (file: string): Promise<void> => expect(await readFile(file, "utf8")).toBe("ran\n");

describe.each(runWays)("a daemon that is killed while a session in %s", (runIn: RunWay) => {
  const pi = { provider: "pi", runIn, name: "the-session" } as const;
  const id = pi.name;

  test("is in the middle of a tool: it ran once, and what was written meanwhile is in the log", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon();
    const [file, release] = [join(trial.cwd, "ran"), join(trial.cwd, "release")];
    await first.create("demo", { ...pi, task: `say before; tool ${file} ${release}; say after` });
    await until("the tool to run", () => existsSync(file));
    await first.kill();
    await writeFile(release, "");
    // In tmux the event is inside of a hook, so its quotes may be escaped.
    await until("the program to go on alone", async () => /event\\*":\\*"idle/.test(await journalOf(trial, id)));
    const second = await trial.daemon();
    await second.untilStatus(id, "idle");
    await ranOnce(file);
    expect(await said(trial, id)).toEqual(["before", "after"]);
    expect(await typesOf(trial, id)).not.toContain("agent_exited");
    await second.delete("demo", id);
    expect(await trial.running()).toEqual([]);
  });

  test("waits for input: it can be answered afterwards", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon();
    await first.create("demo", { ...pi, task: "ask may I" });
    const { pending } = await first.untilStatus(id, "waiting_input");
    await first.kill();
    const second = await trial.daemon();
    expect(await second.get("demo", id)).toMatchObject({ status: "waiting_input", pending: { id: pending?.id } });
    await second.respond("demo", id, pending?.id ?? "", { decision: "allow" });
    await second.untilStatus(id, "idle");
    expect(await said(trial, id)).toEqual(["may I: allow"]);
    await second.delete("demo", id);
  });

  test("has just been told something: it is told once", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon();
    const file = join(trial.cwd, "ran");
    await first.create("demo", { ...pi, task: "ask may I" });
    const { pending } = await first.untilStatus(id, "waiting_input");
    await first.respond("demo", id, pending?.id ?? "", { decision: "allow" });
    await first.input("demo", id, `tool ${file}`);
    await first.kill();
    const second = await trial.daemon();
    await second.untilStatus(id, "idle");
    await ranOnce(file);
    expect(await said(trial, id)).toEqual(["may I: allow"]);
    await second.delete("demo", id);
  });

  /** How far the start of a session has come. */
  const steps: Record<string, (trial: SessionsTrial) => Promise<boolean>> = {
    "is stored": async ({ store }) => (await store.sessions.find(id)) !== undefined,
    "has a folder": async ({ home }) => existsSync(sessionFolder(home, id).folder),
    "has its order": async ({ home }) => existsSync(sessionFolder(home, id).order),
    "has a keeper": async ({ home }) => existsSync(sessionFolder(home, id).keeper),
    "has a journal": async (trial) => (await journalOf(trial, id)) !== "",
    "has got its task": async (trial) => (await journalOf(trial, id)).includes("busy"),
  };

  test.each(Object.keys(steps))("is being created and %s: its task is done once", async (step) => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon();
    const file = join(trial.cwd, "ran");
    first.create("demo", { ...pi, task: `tool ${file}; say done` }).catch(() => undefined);
    await until(`it ${step}`, async () => await steps[step]?.(trial), 20_000);
    await first.kill();
    const second = await trial.daemon();
    await second.untilStatus(id, "idle");
    await ranOnce(file);
    expect(await said(trial, id)).toEqual(["done"]);
    await second.delete("demo", id);
    expect(await trial.running()).toEqual([]);
  });

  test("is told one thing after the other, again and again: each is done once, in order", async () => {
    await using trial = await openSessionsTrial(postgres);
    let daemon = await trial.daemon();
    await daemon.create("demo", { ...pi, task: "say begun" });
    await daemon.untilStatus(id, "idle");
    const numbers = Array.from({ length: 12 }, (_, at) => at + 1);
    for (const number of numbers) {
      const task = `tool ${join(trial.cwd, `ran-${number}`)}; say ${number}`;
      const killed = daemon;
      // Somewhere between the request and the end of the turn, another place each time.
      const kill = new Promise<void>((resolve) => setTimeout(() => resolve(killed.kill()), number * 17));
      void killed.input("demo", id, task, { idempotencyKey: `k${number}` }).catch(() => undefined);
      await kill;
      daemon = await trial.daemon();
      await daemon.input("demo", id, task, { idempotencyKey: `k${number}` });
    }
    await daemon.untilStatus(id, "idle");
    for (const number of numbers) await ranOnce(join(trial.cwd, `ran-${number}`));
    expect(await said(trial, id)).toEqual(["begun", ...numbers.map(String)]);
    expect(await typesOf(trial, id)).not.toContain("agent_exited");
    const inputs = (await trial.events(id)).filter(({ type }) => type === "input_sent");
    expect(inputs).toHaveLength(numbers.length);
    await daemon.delete("demo", id);
  });

  test("is being deleted: the next one finishes that", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon({ HARNESS_GRACE_MS: "60000" });
    const pidFile = join(trial.cwd, "pid");
    await first.create("demo", { ...pi, task: `orphan ${pidFile}; hang` });
    await until("the orphan to run", () => existsSync(pidFile));
    void first.delete("demo", id).catch(() => undefined);
    await until("the deletion to be on its way", async () => {
      const row = await trial.store.sessions.find(id);
      return JSON.stringify(row?.state).includes('"deleting":true');
    });
    await first.kill();
    const second = await trial.daemon({ HARNESS_GRACE_MS: "300" });
    await until("the session to be gone", async () => (await second.list("demo")).length === 0, 20_000);
    await until("nothing to run", async () => (await trial.running()).length === 0);
    expect((await typesOf(trial, id)).filter((type) => type === "agent_deleted")).toHaveLength(1);
  });
});

describe("a keeper that is killed", () => {
  const pi = { provider: "pi", runIn: "headless", name: "the-session" } as const;
  const id = pi.name;

  const killKeeper = async (trial: SessionsTrial): Promise<void> => {
    const keeper = await findKeeper(sessionFolder(trial.home, id));
    if (keeper === undefined) throw new Error("There is no keeper.");
    process.kill(keeper.pid, "SIGKILL");
    await until("the keeper to be gone", async () => (await startTimeOf(keeper.pid)) === undefined);
  };

  test("in the middle of a turn: the turn is taken up again once, then the session has ended", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const pidFile = join(trial.cwd, "pid");
    await daemon.create("demo", { ...pi, task: `orphan ${pidFile}; hang` });
    await until("the turn to be under way", () => existsSync(pidFile));
    await killKeeper(trial);
    const again = await daemon.untilStatus(id, "idle");
    expect(again.reason).toBeUndefined();
    expect(await said(trial, id)).toEqual([expect.stringContaining("Look at what is done already")]);
    const changes = (await trial.events(id)).filter(({ type }) => type === "status_changed").map(({ data }) => data);
    expect(changes).toContainEqual(
      expect.objectContaining({ to: "starting", reason: "resumed: its keeper was lost while processing" }),
    );
    await daemon.delete("demo", id);
    expect(await trial.running()).toEqual([]);
  });

  test("together with the daemon, at rest: the session has ended, and new input goes on with it", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon();
    await first.create("demo", { ...pi, task: "say one" });
    await first.untilStatus(id, "idle");
    await first.kill();
    await killKeeper(trial);
    // Its end is long ago by now: nobody may take it for a program that does not come to its end.
    const second = await trial.daemon({ HARNESS_EXIT_MS: "1" });
    expect(await second.untilStatus(id, "exited")).toMatchObject({ reason: "its keeper is gone" });
    await until("its end to be told", async () => (await typesOf(trial, id)).at(-1) === "agent_terminal_finalized");
    await second.abort("demo", id);
    await second.input("demo", id, "say two");
    await second.untilStatus(id, "idle");
    expect(await said(trial, id)).toEqual(["one", "two"]);
    await second.delete("demo", id);
  });
});

test("what is owed to a session that has ended is done by the next daemon: its deletion, its last news", async () => {
  await using trial = await openSessionsTrial(postgres);
  const first = await trial.daemon();
  for (const name of ["to-be-deleted", "to-be-told"]) {
    await first.create("demo", { provider: "pi", runIn: "headless", name, task: "say one" });
    await first.untilStatus(name, "idle");
    await trial.crash(name);
    await first.untilStatus(name, "exited");
    await until("it to be left alone", async () => (await trial.store.sessions.find(name))?.leaseOwner === undefined);
  }
  await first.kill();
  // As a daemon leaves them that is killed right after it stored that.
  const owe = (id: string, what: object) =>
    trial.store.transaction((tx) =>
      tx.query("UPDATE harness.sessions SET state = (state::jsonb || $2::jsonb)::json WHERE id = $1", [
        id,
        JSON.stringify(what),
      ]),
    );
  await owe("to-be-deleted", { deleting: true });
  await owe("to-be-told", { finalizing: { status: "exited", observedAt: 1 } });
  const before = (await typesOf(trial, "to-be-told")).length;
  const second = await trial.daemon();
  await until("the session to be gone", async () => (await second.list("demo")).length === 1);
  const told = async () => (await typesOf(trial, "to-be-told")).slice(before);
  await until("its end to be told", async () => (await told()).includes("agent_terminal_finalized"));
  await second.delete("demo", "to-be-told");
});

describe("two daemons", () => {
  const pi = { provider: "pi", runIn: "headless", name: "the-session" } as const;
  const id = pi.name;
  /** Long enough that a daemon on a slow machine keeps what it has. */
  const lease = { HARNESS_LEASE_MS: "10000" };
  const isHeldBy = async ({ store }: SessionsTrial, daemon: { pid: number }): Promise<boolean> =>
    (await store.sessions.find(id))?.leaseOwner?.includes(`|${daemon.pid}|`) ?? false;

  test("share the sessions: each can be asked for each, and when one is killed the other goes on", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon(lease);
    const second = await trial.daemon(lease);
    const [file, release] = [join(trial.cwd, "ran"), join(trial.cwd, "release")];
    await first.create("demo", { ...pi, task: "say one" });
    await first.untilStatus(id, "idle");
    await second.input("demo", id, `say two; tool ${file} ${release}; say three`);
    await until("the tool to run", () => existsSync(file));
    expect(await isHeldBy(trial, first)).toBe(true);
    await first.kill();
    await until("the other one to have it", () => isHeldBy(trial, second), 60_000);
    await writeFile(release, "");
    await second.untilStatus(id, "idle");
    await ranOnce(file);
    expect(await said(trial, id)).toEqual(["one", "two", "three"]);
    await second.delete("demo", id);
  });

  test("one that hangs loses its sessions after the lease, and does no harm when it comes back", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon(lease);
    await first.create("demo", { ...pi, task: "say one" });
    await first.untilStatus(id, "idle");
    process.kill(first.pid, "SIGSTOP");
    const second = await trial.daemon(lease);
    await second.input("demo", id, "say two");
    await until("the other one to have it", () => isHeldBy(trial, second), 60_000);
    await until("the second to be said", async () => (await said(trial, id)).length === 2);
    process.kill(first.pid, "SIGCONT");
    await first.input("demo", id, "say three");
    await until("the third to be said", async () => (await said(trial, id)).length === 3);
    expect(await said(trial, id)).toEqual(["one", "two", "three"]);
    expect(await isHeldBy(trial, second)).toBe(true);
    await second.delete("demo", id);
  });
});

describe("a Postgres that goes away", () => {
  test("loses nothing of what a session says meanwhile", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const id = "the-session";
    const [file, release] = [join(trial.cwd, "ran"), join(trial.cwd, "release")];
    await daemon.create("demo", {
      provider: "pi",
      runIn: "headless",
      name: id,
      task: `say one; tool ${file} ${release}; say two`,
    });
    await until("the tool to run", () => existsSync(file));
    await postgres.stop();
    await writeFile(release, "");
    await until("the program to go on", async () => (await journalOf(trial, id)).includes("two"));
    await expect(daemon.get("demo", id)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await postgres.start();
    await daemon.untilStatus(id, "idle");
    await ranOnce(file);
    expect(await said(trial, id)).toEqual(["one", "two"]);
    await daemon.delete("demo", id);
  });
});
