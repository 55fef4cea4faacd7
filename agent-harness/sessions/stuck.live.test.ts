import { existsSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "../testing/crash.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openSessionsTrial } from "../testing/sessions-trial.ts";
import { until } from "../testing/until.ts";
import { runWays } from "./session.ts";
import { findKeeper, sessionFolder } from "./session-folder.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  await build();
  postgres = await openTestPostgres();
});
afterAll(async () => await postgres[Symbol.asyncDispose]());

describe("a session that hangs", () => {
  test("is an error with the reason, and can still be ended by an abort", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon({ HARNESS_NO_OUTPUT_MS: "500", HARNESS_INTERRUPT_MS: "500" });
    const id = "the-session";
    await daemon.create("demo", { provider: "pi", runIn: "headless", name: id, task: "say one; hang" });
    expect(await daemon.untilStatus(id, "error")).toMatchObject({ reason: "no output for 1 s" });
    await daemon.input("demo", id, "say two");
    await daemon.abort("demo", id);
    expect(await daemon.untilStatus(id, "exited")).toMatchObject({
      reason: "aborted: its turn did not end when it was interrupted",
    });
    await daemon.delete("demo", id);
    expect(await trial.running()).toEqual([]);
  });

  test("with a keeper that takes nothing is ended by an abort, when its time is over", async () => {
    await using trial = await openSessionsTrial(postgres);
    const daemon = await trial.daemon({ HARNESS_INTERRUPT_MS: "500" });
    const id = "the-session";
    const file = join(trial.cwd, "ran");
    const task = `tool ${file} ${join(trial.cwd, "never")}`;
    await daemon.create("demo", { provider: "pi", runIn: "headless", name: id, task });
    await until("the tool to run", () => existsSync(file));
    process.kill((await findKeeper(sessionFolder(trial.home, id)))?.pid ?? 0, "SIGSTOP");
    await daemon.abort("demo", id);
    // One question to it, which is given up after ten seconds, and its end; eleven such questions would be two minutes.
    await until("it to end", async () => (await daemon.get("demo", id)).status === "exited", 60_000);
    expect(await trial.running()).toEqual([]);
    await daemon.delete("demo", id);
  });
});

test.each(runWays)("a program in %s that ends before it has begun says why", async (runIn) => {
  await using trial = await openSessionsTrial(postgres, { real: true });
  const command = join(trial.cwd, "claude");
  await writeFile(command, "#!/bin/sh\necho 'boom: the licence has expired' >&2\nexit 3\n");
  await chmod(command, 0o755);
  await writeFile(join(trial.home, "sessions.json"), JSON.stringify({ providers: { "claude-code": { command } } }));
  const daemon = await trial.daemon();
  await daemon.create("demo", { provider: "claude-code", runIn, name: "the-session", task: "go" });
  const { reason } = await daemon.untilStatus("the-session", "exited");
  expect(reason).toMatch(/^exit code 3 while starting; .*boom: the licence has expired$/);
  await daemon.delete("demo", "the-session");
});
