import { mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { homePaths } from "../../shared/paths.ts";
import { openRunRecord } from "./record.ts";

let home: string;
const problems: string[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-record-"));
  problems.length = 0;
});
afterEach(() => rm(home, { recursive: true, force: true }));

const open = (runId = "r1", at = home) =>
  openRunRecord({ paths: homePaths(at), runId, tell: (problem) => problems.push(problem) });
const files = (): Promise<string[]> => readdir(join(home, "dispatch")).catch(() => []);

test("what is noted, by several at once, is there for the next process, and for no other user", async () => {
  const first = await open();
  expect(await files()).toEqual([]);
  const names = Array.from({ length: 20 }, (_, at) => `codex-r1-${at + 1}`);
  await Promise.all([
    first.noteReceiver({ port: 4711, token: "t" }),
    ...names.map((name, at) => first.note(name, { lastEventId: at })),
  ]);
  await first.note("codex-r1-1", { ...first.knew("codex-r1-1"), replaced: true });
  const next = await open();
  expect(next.receiver).toEqual({ port: 4711, token: "t" });
  expect(names.map((name) => next.knew(name)?.lastEventId)).toEqual(names.map((_, at) => at));
  expect(names.filter((name) => next.knew(name)?.replaced)).toEqual(["codex-r1-1"]);
  expect(next.knew("codex-r1-21")).toBeUndefined();
  expect((await open("r2")).knew("codex-r1-1")).toBeUndefined();
  expect(await files()).toEqual(["r1.json"]);
  expect((await stat(join(home, "dispatch", "r1.json"))).mode & 0o777).toBe(0o600);
  expect(problems).toEqual([]);
});

test("a run that is over leaves nothing; one that nobody took up is forgotten after a week", async () => {
  for (const runId of ["over", "old", "new"]) await (await open(runId)).note(`codex-${runId}-1`, {});
  await (await open("over")).forget();
  const lastWeek = Date.now() / 1000 - 8 * 24 * 3600;
  await utimes(join(home, "dispatch", "old.json"), lastWeek, lastWeek);
  await open();
  expect(await files()).toEqual(["new.json"]);
});

test("a run goes on where nothing can be kept, and says so once", async () => {
  await writeFile(join(home, "file"), "");
  const record = await open("r1", join(home, "file"));
  await record.note("codex-r1-1", {});
  await record.note("codex-r1-1", { replaced: true });
  await record.forget();
  expect(record.knew("codex-r1-1")).toEqual({ replaced: true });
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(join(home, "file"));
});

test.each(['{"agents":{"codex-r1-1"', '{"agents":{"codex-r1-1":[]}}'])(
  "a record such as %s is set aside",
  async (text) => {
    await (await open()).note("codex-r1-1", {});
    await writeFile(join(home, "dispatch", "r1.json"), text);
    expect((await open()).knew("codex-r1-1")).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(await files()).toEqual([expect.stringMatching(/^r1\.json\.corrupt-/)]);
  },
);
