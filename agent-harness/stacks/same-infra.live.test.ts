import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { writeLedger } from "./ledger.ts";

let h: SmallHarness;
let repo: string;
let theirs: TestPostgres;

const elsewhere = (url?: string): void => {
  if (url === undefined) delete h.env["AGENT_HARNESS_POSTGRES_URL"];
  else h.env["AGENT_HARNESS_POSTGRES_URL"] = url;
};

beforeAll(async () => {
  [h, theirs] = await Promise.all([openSmall(), openTestPostgres()]);
  repo = await h.project();
});
afterAll(async () => {
  await h?.[Symbol.asyncDispose]();
  await theirs?.[Symbol.asyncDispose]();
});

test("a stack on a server of the shell is not looked for on another: launch, reset and teardown say which and how on", async () => {
  elsewhere(theirs.url);
  await h.ok(repo, "launch", "60");
  expect(await theirs.names("agent_60")).toEqual(["agent_60"]);
  const before = await h.ledger(60);
  expect(JSON.stringify(before)).not.toContain(theirs.server.password);
  elsewhere();
  for (const verb of ["teardown", "reset", "launch"]) {
    const error = await h.refused(repo, verb, "60");
    expect(error).toMatchObject({ exitCode: 5, code: "INFRA_DIFFERS" });
    expect(error.message).toContain(`127.0.0.1:${theirs.server.port}`);
    expect(error.message).toContain("this machine's own");
    expect(error.hint).toContain("AGENT_HARNESS_POSTGRES_URL");
  }
  expect(await h.ledger(60)).toEqual(before);
  expect(await theirs.names("agent_60")).toEqual(["agent_60"]);
  elsewhere(theirs.url);
  await h.ok(repo, "launch", "60");
  await h.ok(repo, "reset", "60");
  await h.ok(repo, "teardown", "60");
  expect(await theirs.names("agent_6")).toEqual([]);
  elsewhere();
});

test("a stack of this machine's own server is not looked for on one that the config names since", async () => {
  await h.ok(repo, "launch", "61");
  const config = join(repo, "agent-harness.yml");
  await writeFile(config, smallConfig({ rest: `infra: { postgres: { url: "${theirs.url}" } }` }));
  const error = await h.refused(repo, "teardown", "61");
  expect(error).toMatchObject({ code: "INFRA_DIFFERS", hint: expect.stringContaining("infra.postgres.url") });
  await writeFile(config, smallConfig());
  await h.ok(repo, "teardown", "61");
  expect(await h.left(61)).toEqual([]);
});

test("with its config deleted a stack elsewhere is torn down by the shell's URL, and by nothing less", async () => {
  elsewhere(theirs.url);
  await h.ok(repo, "launch", "62");
  await rm(join(repo, "agent-harness.yml"));
  elsewhere();
  expect(await h.refused(h.home, "teardown", "62")).toMatchObject({ code: "INFRA_DIFFERS" });
  elsewhere(theirs.url);
  await h.ok(h.home, "teardown", "62");
  expect(await theirs.names("agent_6")).toEqual([]);
  elsewhere();
  await writeFile(join(repo, "agent-harness.yml"), smallConfig());
});

test("a ledger of before, which does not say, is taken as it is", async () => {
  await h.ok(repo, "launch", "63");
  const ledger = await h.ledger(63);
  for (const { data } of ledger.resources) delete data["server"];
  await writeLedger(h.paths, ledger);
  await h.ok(repo, "launch", "63");
  expect((await h.ledger(63)).resources.find(({ kind }) => kind === "database")?.data).toHaveProperty("server");
  await h.ok(repo, "teardown", "63");
  expect(await h.left(63)).toEqual([]);
});
