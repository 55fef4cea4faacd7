import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withLock } from "../../shared/lock.ts";
import { build, startDoing } from "../../testing/crash.ts";
import { answers, itemsOf, type OrphanHarness, ofStack, openOrphans } from "../../testing/orphans.ts";
import { stackLock } from "../registry.ts";
import type { GcItem } from "./items.ts";

let h: OrphanHarness;

beforeAll(async () => {
  await build();
  h = await openOrphans();
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

describe("gc", () => {
  test("does nothing when the registry or a ledger cannot be read, and says how to mend it", async () => {
    await h.ok(h.repo, "launch", "11");
    await h.ok(h.repo, "launch", "12");
    await h.forget(12);
    const registry = await readFile(h.paths.registry, "utf8");
    const ledger = join(h.paths.stacks, "11", "ledger.json");
    const text = await readFile(ledger, "utf8");
    for (const [path, broken, whole, command] of [
      [h.paths.registry, registry.slice(0, 20), registry, "agent-harness status --everywhere"],
      [ledger, "", text, "agent-harness launch 11"],
    ] as const) {
      await writeFile(path, broken);
      const before = await h.everything(11, 12);
      for (const argv of [["gc"], ["gc", "--dry-run"]]) {
        const error = await h.refused(h.repo, ...argv);
        expect(error).toMatchObject({ code: "STATE_UNREADABLE", exitCode: 1, message: expect.stringContaining(path) });
        expect(error.hint).toContain(command);
      }
      expect(await h.everything(11, 12)).toEqual(before);
      await writeFile(path, whole);
    }
    await writeFile(h.paths.registry, "{");
    // As the hint says.
    await h.ok(h.repo, "status", "--everywhere");
    expect(itemsOf(await h.gc(), 12)).toEqual(ofStack.map((kind) => `removed ${kind}`));
    expect(await answers(11)).toMatchObject({ id: "11" });
    await h.ok(h.repo, "teardown", "11");
    expect(await h.left(11)).toEqual([]);
  });

  test("leaves alone what somebody is working on now", async () => {
    await h.ok(h.repo, "launch", "12");
    await h.forget(12);
    await withLock(stackLock(h.paths, 12), { doing: "something with agent 12" }, async () => {
      for (const argv of [["--dry-run"], []]) {
        const items = await h.gc(...argv);
        expect(itemsOf(items, 12)).toEqual(ofStack.map((kind) => `skipped ${kind}`));
        expect(items[0]?.reason).toContain(`Process ${process.pid} is busy with "something with agent 12"`);
      }
    });
    expect(itemsOf(await h.gc(), 12)).toEqual(ofStack.map((kind) => `removed ${kind}`));
  });

  test("beside launches of other ids takes nothing of theirs, and finds what it looks for", async () => {
    await h.ok(h.repo, "launch", "11");
    await h.forget(11);
    const ids = [14, 15, 16];
    const seen: GcItem[] = [];
    let ended = false;
    const collecting = [1, 2].map(async () => {
      while (!ended) seen.push(...(await h.gc()));
    });
    const together = async (verb: "launch" | "teardown"): Promise<void> => {
      const all = ids.map((id) => startDoing(h, { verb, repo: h.repo, id }).ended);
      for (const { code, stdout, stderr } of await Promise.all(all)) expect(code, stdout + stderr).toBe(0);
    };
    try {
      for (const _ of [1, 2, 3]) {
        await together("launch");
        for (const id of ids) expect(await answers(id)).toMatchObject({ id: String(id), database: `agent_${id}` });
        for (const id of ids) expect(await h.sql(`agent_${id}`, "select text from notes")).toEqual([{ text: "seed" }]);
        await together("teardown");
      }
    } finally {
      ended = true;
      await Promise.all(collecting);
    }
    for (const id of [11, ...ids]) expect(await h.left(id)).toEqual([]);
    const removed = seen.filter((one) => one.action === "removed");
    expect(new Set(itemsOf(removed, 11))).toEqual(new Set(ofStack.map((kind) => `removed ${kind}`)));
    // What a launch makes is seen at the most, by one that looked before it was claimed, and left alone.
    expect(removed.filter((one) => ids.includes(one.owner ?? 0))).toEqual([]);
  });

  test("while infra is down says so, looks at what needs none of it, and exits with 6", async () => {
    await h.ok(h.repo, "launch", "12");
    await h.forget(12);
    await h.ok(h.repo, "infra", "down", "--force");
    const { exitCode, stdout } = await h.harness(h.repo, "gc", "--json");
    expect(exitCode).toBe(6);
    const items = JSON.parse(stdout);
    const skipped = items.filter((one: { action: string }) => one.action === "skipped");
    const said = skipped.map((one: { kind: string; code: string }) => `${one.kind} ${one.code}`);
    const wanted = [
      "bucket S3_UNAVAILABLE",
      "database POSTGRES_UNAVAILABLE",
      "mailbox MAIL_UNAVAILABLE",
      "pool-database POSTGRES_UNAVAILABLE",
      "template-database POSTGRES_UNAVAILABLE",
    ];
    expect(said).toEqual(expect.arrayContaining(wanted));
    expect(itemsOf(items, 12)).toEqual(ofStack.slice(0, 5).map((kind) => `removed ${kind}`));
    await h.ok(h.repo, "infra", "up");
    expect(itemsOf(await h.gc(), 12)).toEqual(["removed bucket", "removed database"]);
    expect(await h.left(12)).toEqual([]);
  });
});
