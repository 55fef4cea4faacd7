import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openSpool } from "./spool.ts";

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "ah-spool-")), "spool");
});
afterEach(() => rm(join(folder, ".."), { recursive: true, force: true }));

const batch = (n: number) => [{ type: "output", project: "p", data: { n, text: "a\0b" } }];

test("files are listed in the order in which they were written, also when the clock goes back", async () => {
  const spool = openSpool(folder);
  expect(await spool.list()).toEqual([]);
  const clock = vi.spyOn(Date, "now");
  for (const [n, now] of [5000, 5000, 1000, 9000].entries()) {
    clock.mockReturnValue(now);
    await spool.write(`key-${n}`, batch(n));
  }
  const files = await spool.list();
  const read = await Promise.all(files.map((file) => spool.read(file)));
  expect(read).toEqual([0, 1, 2, 3].map((n) => ({ key: `key-${n}`, events: batch(n) })));
  expect((await stat(join(folder, files[0] ?? ""))).mode & 0o777).toBe(0o600);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  await spool.remove(files[0] ?? "");
  await spool.remove(files[0] ?? "");
  expect(await spool.read(files[0] ?? "")).toBeUndefined();
  expect(await spool.list()).toEqual(files.slice(1));
});

test("half a file, or one of somebody else, is not taken for events", async () => {
  const spool = openSpool(folder);
  await spool.write("key", batch(1));
  await writeFile(join(folder, "notes.json"), "{}");
  await writeFile(join(folder, "000000000000001-a.json.1.ff.tmp"), "{}");
  await writeFile(join(folder, "000000000000001-a.json"), '{"version":2,"key":"a","events":[]}');
  const files = await spool.list();
  expect(files).toHaveLength(2);
  const path = join(folder, "000000000000001-a.json");
  await expect(spool.read("000000000000001-a.json")).rejects.toMatchObject({
    code: "STATE_UNREADABLE",
    message: `${path} is not a file of events.`,
  });
  const problem = await spool.setAside("000000000000001-a.json", new Error("why"));
  expect(problem).toMatchObject({
    code: "STATE_UNREADABLE",
    message: "Events that waited for Postgres could not be used: why",
  });
  expect(problem.hint).toBe(`Look at ${problem.leftBehind}`);
  expect(await readFile(problem.leftBehind ?? "", "utf8")).toContain('"version":2');
  expect(await spool.list()).toEqual(files.slice(1));
  expect(await readdir(folder)).toHaveLength(4);
});

test("events that cannot be written are not said to be", async () => {
  await writeFile(folder, "somebody else's file");
  await expect(openSpool(folder).write("key", batch(1))).rejects.toMatchObject({ code: "INTERNAL" });
});
