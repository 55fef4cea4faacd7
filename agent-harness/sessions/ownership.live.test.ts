import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRunning } from "../shared/process-tree.ts";
import { build } from "../testing/crash.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openSessionsTrial, type SessionsTrial } from "../testing/sessions-trial.ts";
import { until } from "../testing/until.ts";
import { connectKeeper } from "./keeper-client.ts";
import { findKeeper, sessionFolder } from "./session-folder.ts";

/* Whose a session is, and what is owed to it, at the instants at which that changes. */

let postgres: TestPostgres;
beforeAll(async () => {
  await build();
  postgres = await openTestPostgres();
});
afterAll(async () => await postgres[Symbol.asyncDispose]());

/** What the session said, in order, by its log of events. */
const said = async (trial: SessionsTrial, id: string): Promise<unknown[]> =>
  (await trial.events(id)).filter(({ type }) => type === "output").map(({ data }) => data["text"]);

const journalOf = async (trial: SessionsTrial, id: string): Promise<string> =>
  await readFile(sessionFolder(trial.home, id).journal, "utf8").catch(() => "");

const ranOnce = async (file: string): Promise<void> => expect(await readFile(file, "utf8")).toBe("ran\n");

describe("two homes that share a store", () => {
  const pi = { provider: "pi", runIn: "headless" } as const;
  const id = "the-session";

  test("leave each other's sessions alone; what is asked of the wrong one is done by the right one", async () => {
    await using trial = await openSessionsTrial(postgres);
    const lease = { HARNESS_LEASE_MS: "500" };
    const first = await trial.daemon(lease);
    const [file, release] = [join(trial.cwd, "ran"), join(trial.cwd, "release")];
    await first.create("demo", { ...pi, name: id, task: `say one; tool ${file} ${release}; say two` });
    await until("the tool to run", () => existsSync(file));
    await first.kill();
    const row = async () => await trial.store.sessions.find(id);
    await until("the lease to be over", async () => Number((await row())?.leaseUntil) < Date.now());
    const other = await trial.daemon(lease, join(trial.home, "other"));
    await other.input("demo", id, "say three");
    await expect(other.delete("demo", id)).rejects.toMatchObject({ code: "AGENT_ELSEWHERE" });
    await other.create("demo", { ...pi, name: "another", task: "say four" });
    await other.untilStatus("another", "idle");
    expect((await row())?.leaseOwner).toContain(`|${first.pid}|`);
    await writeFile(release, "");
    const second = await trial.daemon(lease);
    await until("all to be said", async () => (await said(trial, id)).length === 3);
    expect(await said(trial, id)).toEqual(["one", "two", "three"]);
    await ranOnce(file);
    await second.delete("demo", id);
    await other.delete("demo", "another");
    expect(await trial.running()).toEqual([]);
  });
});

describe("an interrupted turn", () => {
  const id = "the-session";

  test("whose daemon is killed right after its end was stored: what it left running is ended by the next one", async () => {
    await using trial = await openSessionsTrial(postgres);
    const first = await trial.daemon();
    const [file, pidFile] = [join(trial.cwd, "ran"), join(trial.cwd, "pid")];
    const task = `orphan ${pidFile}; tool ${file} ${join(trial.cwd, "never")}`;
    await first.create("demo", { provider: "pi", runIn: "headless", name: id, task });
    await until("the tool to run", () => existsSync(file));
    const orphan = Number(await readFile(pidFile, "utf8"));
    const place = sessionFolder(trial.home, id);
    const keeper = (await findKeeper(place))?.pid ?? 0;
    await using client = await connectKeeper(place.socket);
    // The program hears of the interrupt only while nobody can store what comes of it.
    await client.signal("SIGSTOP");
    await first.abort("demo", id);
    await until("the interrupt to be given", async () => (await journalOf(trial, id)).includes("interrupt"));
    await trial.store.transaction(async (tx) => {
      await tx.sessions.lock(id);
      await client.signal("SIGCONT");
      await until("the turn to end", async () => /event\\*":\\*"idle/.test(await journalOf(trial, id)));
      process.kill(keeper, "SIGSTOP");
    });
    await until("that to be stored", async () => (await trial.store.sessions.find(id))?.status === "idle");
    await first.kill();
    process.kill(keeper, "SIGCONT");
    expect(isRunning(orphan)).toBe(true);
    const second = await trial.daemon();
    await until("what the turn started to end", () => !isRunning(orphan));
    await second.input("demo", id, "say still here");
    await until("it to go on", async () => (await said(trial, id)).includes("still here"));
    await second.delete("demo", id);
    expect(await trial.running()).toEqual([]);
  });
});

describe("a session that is being created", () => {
  const asked = {
    provider: "pi",
    runIn: "headless",
    name: "the-session",
    task: "say one",
    idempotencyKey: "k",
  } as const;
  const id = asked.name;
  const run = (trial: SessionsTrial, sql: string) => trial.store.transaction((tx) => tx.query(sql));

  test("whose lease somebody else gets is left to them", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon({ HARNESS_LEASE_MS: "500" });
    await run(
      trial,
      `CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         UPDATE harness.sessions SET lease_owner = 'elsewhere|1|x|y', lease_until = now() + interval '1 s';
         RETURN NULL;
       END $$;
       CREATE CONSTRAINT TRIGGER steal AFTER INSERT ON harness.sessions DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION steal()`,
    );
    expect(await daemon.create("demo", asked)).toMatchObject({ session: { id, status: "starting" } });
    // When they are gone without having started it, we do.
    await daemon.untilStatus(id, "idle");
    expect(await said(trial, id)).toEqual(["one"]);
    await daemon.delete("demo", id);
  });

  test("while Postgres goes away is said to be owed, and is started when it is back", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon();
    await run(
      trial,
      `CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         RAISE EXCEPTION 'away' USING ERRCODE = '57P03';
       END $$;
       CREATE TRIGGER away BEFORE UPDATE OF state ON harness.sessions FOR EACH ROW EXECUTE FUNCTION away()`,
    );
    await expect(daemon.create("demo", asked)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(daemon.delete("demo", id)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await run(trial, "DROP TRIGGER away ON harness.sessions");
    expect((await daemon.create("demo", asked)).session.id).toBe(id);
    await daemon.untilStatus(id, "idle");
    expect(await said(trial, id)).toEqual(["one"]);
    await daemon.delete("demo", id);
  });
});
