import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { setAside } from "../../shared/files.ts";
import { type HomePaths, homePaths } from "../../shared/paths.ts";
import { emptyLedger } from "../empty-ledger.ts";
import { writeLedger } from "../ledger.ts";
import { claimId } from "../registry.ts";
import { isOldAside } from "./folders.ts";
import { keptAt, readOwners } from "./owners.ts";

let paths: HomePaths;

beforeEach(async () => {
  paths = homePaths(await realpath(await mkdtemp(join(tmpdir(), "ah-owners-"))));
});
afterEach(async () => await rm(paths.home, { recursive: true }));

const facts = (id: number) => ({
  id,
  project: "p",
  repository: "/r",
  workdir: "/r",
  configPath: "/r/agent-harness.yml",
});

const namesBelow = async (): Promise<string[]> => (await readdir(paths.home, { recursive: true })).sort();

test("a claim is enough to own an id, and so is a ledger; nothing is written", async () => {
  await claimId(paths, facts(1));
  await writeLedger(paths, emptyLedger(facts(2)));
  const before = await namesBelow();
  const owners = await readOwners(paths);
  expect([1, 2, 3].map(owners.owns)).toEqual([true, true, false]);
  expect(await namesBelow()).toEqual(before);
});

test("an empty home has no owners", async () => {
  expect(await readOwners(paths)).toMatchObject({ claims: [], ledgers: [], aside: [] });
});

test.each(["", "{", "[]", '{"version":1}', '{"version":2,"stacks":{}}', '{"version":1,"stacks":{"100":{}}}'])(
  "a registry that says %j is refused, with the way out, and left where it is",
  async (text) => {
    await writeFile(paths.registry, text);
    await expect(readOwners(paths)).rejects.toMatchObject({
      code: "STATE_UNREADABLE",
      message: expect.stringContaining(paths.registry),
      hint: expect.stringContaining("agent-harness status --everywhere"),
    });
    expect(await namesBelow()).toEqual(["registry.json"]);
  },
);

test("so is a ledger that is none, and a folder where a file should be", async () => {
  const folder = join(paths.stacks, "4");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "ledger.json"), '{"version":1}');
  await expect(readOwners(paths)).rejects.toMatchObject({
    code: "STATE_UNREADABLE",
    hint: expect.stringContaining("agent-harness launch 4"),
  });
  await rm(join(folder, "ledger.json"));
  await mkdir(join(folder, "ledger.json"));
  await expect(readOwners(paths)).rejects.toMatchObject({ code: "STATE_UNREADABLE" });
});

test("what was kept aside is listed with the time in its name", async () => {
  const folder = join(paths.stacks, "4");
  await mkdir(folder, { recursive: true });
  const at = new Date("2026-01-02T03:04:05.678Z");
  await writeFile(join(folder, "ledger.json"), "{");
  await writeFile(paths.registry, "{");
  const [ledger, registry] = [await setAside(join(folder, "ledger.json"), at), await setAside(paths.registry, at)];
  await writeFile(join(folder, "ledger.json.corrupt-yesterday"), "{");
  const { aside } = await readOwners(paths);
  expect(aside).toEqual([
    { path: registry, at: at.getTime() },
    { path: ledger, at: at.getTime(), id: 4 },
  ]);
  expect(keptAt("ledger.json.corrupt-2026-13-02T03-04-05-678Z")).toBeUndefined();
  const day = 24 * 3600 * 1000;
  expect(aside.map((one) => isOldAside(one, at.getTime() + 30 * day))).toEqual([false, false]);
  expect(aside.map((one) => isOldAside(one, at.getTime() + 30 * day + 1))).toEqual([true, true]);
});
