import { existsSync } from "node:fs";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRunning } from "../shared/process-tree.ts";
import { build } from "../testing/crash.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openSessionsTrial } from "../testing/sessions-trial.ts";
import { until } from "../testing/until.ts";
import { type RunWay, runWays } from "./session.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  await build();
  postgres = await openTestPostgres();
});
afterAll(async () => await postgres[Symbol.asyncDispose]());

describe.each(runWays)("a session that runs in %s", (runIn: RunWay) => {
  const pi = { provider: "pi", runIn } as const;

  test("does its task, takes more input, and says what it did", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const { session, lastEventId } = await daemon.create("demo", { ...pi, task: "say hello" });
    expect(session.id).toMatch(/^pi-[a-z]+-[a-z]+$/);
    await daemon.untilStatus(session.id, "idle");
    await daemon.input("demo", session.id, "say once more");
    // From the answer on nobody sees it at rest from the turn before.
    expect((await daemon.get("demo", session.id)).status).toBe("processing");
    await daemon.untilStatus(session.id, "idle");
    const { messages, last, source } = await daemon.messages("demo", session.id, { limit: 1 });
    expect(messages.map(({ text }) => text)).toEqual(["once more"]);
    expect(last?.text).toBe("once more");
    expect(source).toBe(runIn === "headless" ? "protocol" : "hook");
    expect(await daemon.output("demo", session.id, 2)).toEqual({ output: "> say once more\nonce more", lines: 2 });
    const announced = await until("the rest to be announced", async () => {
      const rests = (await trial.events(session.id)).filter(({ type }) => type === "agent_terminal_finalized");
      return rests.length === 2 && rests;
    });
    expect(announced.map(({ data }) => data["lastMessage"])).toEqual(["hello", "once more"]);
    const events = await trial.events(session.id);
    expect(events[0]).toMatchObject({ id: lastEventId, type: "agent_started", data: { provider: "pi" } });
    await daemon.delete("demo", session.id);
    expect(await trial.running()).toEqual([]);
    expect(existsSync(join(trial.home, "sessions", session.id))).toBe(false);
    await expect(daemon.get("demo", session.id)).rejects.toMatchObject({ code: "AGENT_NOT_FOUND" });
  });

  test("waits for the answer to what it asks, and takes one", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const { session } = await daemon.create("demo", { ...pi, task: "ask may I" });
    const { pending } = await daemon.untilStatus(session.id, "waiting_input");
    expect(pending).toMatchObject({ kind: "permission", title: "may I", options: [{ id: "allow" }, { id: "deny" }] });
    const id = pending?.id ?? "";
    await expect(daemon.respond("demo", session.id, "another", { decision: "allow" })).rejects.toMatchObject({
      code: "PENDING_STALE",
    });
    await daemon.respond("demo", session.id, id, { decision: "deny" });
    await expect(daemon.respond("demo", session.id, id, { decision: "allow" })).rejects.toMatchObject({
      code: "PENDING_STALE",
    });
    await daemon.untilStatus(session.id, "idle");
    expect((await daemon.messages("demo", session.id, {})).last?.text).toBe("may I: deny");
    await daemon.delete("demo", session.id);
  });

  test("stops at an abort in the middle of a tool, with all that the tool started, and goes on", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const [file, pidFile] = [join(trial.cwd, "ran"), join(trial.cwd, "pid")];
    const task = `orphan ${pidFile}; tool ${file} ${join(trial.cwd, "never")}`;
    const { session } = await daemon.create("demo", { ...pi, task });
    await until("the tool to run", () => existsSync(file));
    const orphan = Number(await readFile(pidFile, "utf8"));
    await daemon.abort("demo", session.id);
    await daemon.untilStatus(session.id, "idle");
    await until("what the turn started to end", () => !isRunning(orphan));
    await daemon.input("demo", session.id, "say still here");
    await daemon.untilStatus(session.id, "idle");
    expect((await daemon.messages("demo", session.id, {})).last?.text).toBe("still here");
    await daemon.delete("demo", session.id);
    expect(await trial.running()).toEqual([]);
  });

  test("is deleted in the middle of a turn with processes that are deaf to SIGTERM and left their tree", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon({ HARNESS_GRACE_MS: "300" });
    const pidFile = join(trial.cwd, "pid");
    const { session } = await daemon.create("demo", { ...pi, task: `orphan ${pidFile}; hang` });
    await until("the orphan to run", () => existsSync(pidFile));
    const orphan = Number(await readFile(pidFile, "utf8"));
    await daemon.deleteProject("demo");
    expect(isRunning(orphan)).toBe(false);
    expect(await trial.running()).toEqual([]);
    const types = (await trial.events(session.id)).map(({ type }) => type);
    expect(types).toContain("agent_exited");
    expect(types.at(-1)).toBe("agent_deleted");
  });

  test("that has ended is gone on with by new input", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const { session } = await daemon.create("demo", { ...pi, task: "say one; exit 7" });
    expect(await daemon.untilStatus(session.id, "exited")).toMatchObject({
      // Whether its first word or its end is heard first is not ours to say.
      reason: expect.stringMatching(/^exit code 7 while (starting|processing)$/),
    });
    await daemon.input("demo", session.id, "say two");
    const again = await daemon.untilStatus(session.id, "idle");
    expect((await daemon.messages("demo", session.id, {})).messages.map(({ text }) => text)).toEqual(["one", "two"]);
    expect(again.providerSessionId).toMatch(/^fake-/);
    await daemon.delete("demo", session.id);
  });
});

describe("a session", () => {
  const pi = { provider: "pi", runIn: "headless" } as const;

  test("is created once for a key, and input with a key is given once", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const file = join(trial.cwd, "ran");
    const asked = { ...pi, task: `tool ${file}`, idempotencyKey: "k1" };
    const both = await Promise.all([daemon.create("demo", asked), daemon.create("demo", asked)]);
    expect(both[0].session.id).toBe(both[1].session.id);
    const { id } = both[0].session;
    await daemon.untilStatus(id, "idle");
    for (let time = 0; time < 3; time += 1) await daemon.input("demo", id, `tool ${file}`, { idempotencyKey: "i1" });
    await daemon.untilStatus(id, "idle");
    expect(await readFile(file, "utf8")).toBe("ran\nran\n");
    // Whoever comes back after a crash listens at another address.
    const moved = await daemon.create("demo", { ...asked, callback: { url: "http://127.0.0.1:9/hints", token: "t" } });
    expect(moved.session.id).toBe(id);
    await expect(daemon.create("demo", { ...asked, task: "other" })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await daemon.delete("demo", id);
  });

  test("of a name that was used before has nothing of the one before: no output, no keys", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const asked = { ...pi, name: "the-session", task: "say one", idempotencyKey: "k" };
    for (let life = 1; life <= 2; life += 1) {
      await daemon.create("demo", asked);
      await daemon.untilStatus(asked.name, "idle");
      expect(await daemon.output("demo", asked.name, 50)).toEqual({ output: "one", lines: 1 });
      await daemon.input("demo", asked.name, "say two", { idempotencyKey: "i" });
      await daemon.untilStatus(asked.name, "idle");
      expect((await daemon.output("demo", asked.name, 50)).output).toBe("one\n> say two\ntwo");
      await daemon.delete("demo", asked.name);
    }
  });

  test("that was created is found under its key when its program is not installed any more", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const asked = { ...pi, task: "say one", idempotencyKey: "k" };
    const { session, lastEventId } = await daemon.create("demo", asked);
    await daemon.untilStatus(session.id, "idle");
    const settings = { providers: { pi: { command: "not-there" } } };
    await writeFile(join(trial.home, "sessions.json"), JSON.stringify(settings), { mode: 0o600 });
    const again = await daemon.create("demo", asked);
    expect(again).toMatchObject({ session: { id: session.id }, lastEventId });
    await expect(daemon.create("demo", { ...asked, idempotencyKey: "other" })).rejects.toMatchObject({
      code: "PROGRAM_MISSING",
    });
    await daemon.delete("demo", session.id);
  });

  test("is refused with the reason, and leaves nothing", async () => {
    await using trial = await openSessionsTrial(postgres);
    await writeFile(
      join(trial.home, "sessions.json"),
      JSON.stringify({ subscriptions: { other: { provider: "codex" } } }),
    );
    const daemon = await trial.daemon();
    const create = (change: object, project = "demo") => daemon.create(project, { ...pi, task: "say x", ...change });
    await expect(create({}, "nowhere")).rejects.toMatchObject({ code: "PROJECT_NOT_FOUND" });
    await expect(create({ name: "No" })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await expect(create({ provider: "codex" })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await expect(create({ subscription: "other" })).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await expect(create({ stack: 3 })).rejects.toMatchObject({ code: "STACK_NOT_LAUNCHED" });
    const { session } = await create({ name: "one-of-them" });
    await expect(create({ name: "one-of-them" })).rejects.toMatchObject({ code: "NAME_CONFLICT" });
    expect(await daemon.list("demo")).toHaveLength(1);
    await daemon.delete("demo", session.id);
  });

  test("that is to ask, of a provider that never does, is refused", async () => {
    await using trial = await openSessionsTrial(postgres, { real: true });
    const daemon = await trial.daemon();
    const asking = daemon.create("demo", { provider: "pi", task: "say x", permissions: "ask" });
    await expect(asking).rejects.toMatchObject({ code: "INVALID_REQUEST", message: expect.stringContaining("pi") });
    expect(await daemon.list("demo")).toEqual([]);
  });

  test("whose program cannot be started is not there, and the same key can be used again", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const cwd = join(trial.cwd, "gone");
    await mkdir(cwd);
    await daemon.createProject({ name: "other", cwd });
    await rmdir(cwd);
    const asked = { ...pi, name: "the-session", task: "say hello", idempotencyKey: "k" };
    await expect(daemon.create("other", asked)).rejects.toMatchObject({
      code: "EXECUTABLE_NOT_FOUND",
      message: expect.stringContaining(`${cwd}: there is no such folder`),
    });
    expect(await daemon.list("other")).toEqual([]);
    expect(await trial.running()).toEqual([]);
    await mkdir(cwd);
    await daemon.create("other", asked);
    await until("it to be idle", async () => (await daemon.get("other", asked.name)).status === "idle");
    await daemon.deleteProject("other");
  });

  test("keeps what no protocol expects, and works on", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const { session } = await daemon.create("demo", { ...pi, task: "ugly; say survived" });
    await daemon.untilStatus(session.id, "idle");
    const { last, parseErrors } = await daemon.messages("demo", session.id, {});
    expect(last?.text).toBe("survived");
    expect(parseErrors).toBe(4);
    await daemon.delete("demo", session.id);
  });

  test("fifty at once each do their task once", { timeout: 240_000 }, async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    const all = Array.from({ length: 50 }, (_, at) => `s-${String(at).padStart(3, "0")}`);
    const task = (name: string): string => `tool ${join(trial.cwd, name)}; say ${name}`;
    await Promise.all(all.map((name) => daemon.create("demo", { ...pi, name, task: task(name) })));
    await Promise.all(all.map((name) => daemon.untilStatus(name, "idle")));
    for (const name of all) {
      expect(await readFile(join(trial.cwd, name), "utf8")).toBe("ran\n");
      expect((await daemon.messages("demo", name, {})).last?.text).toBe(name);
    }
    await daemon.deleteProject("demo");
    expect(await trial.running()).toEqual([]);
  });
});
