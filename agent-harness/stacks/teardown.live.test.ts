import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBuckets } from "../infra/index.ts";
import { isAlive } from "../shared/process-tree.ts";
import { findProcesses } from "../shared/processes.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { until } from "../testing/until.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const ledgerFile = (id: number) => join(h.paths.stacks, String(id), "ledger.json");
const keptAside = async (folder: string) => (await readdir(folder)).filter((name) => name.includes(".corrupt-"));

test("everything goes, also what left its process tree; a second teardown is fine", async () => {
  // A daemon as daemons do it: a child of its own session whose parent ends at once.
  const fork = (inner: string) =>
    `const { spawn } = require("child_process"); const one = spawn(process.execPath, ["-e", ${JSON.stringify(inner)}], { detached: true, stdio: "ignore" }); one.unref();`;
  const daemon =
    'require("fs").writeFileSync("daemon.pid", String(process.pid)); process.on("SIGTERM", () => 0); setInterval(() => 0, 1000);';
  await writeFile(join(repo, "fork.cjs"), `${fork(fork(daemon))} setInterval(() => 0, 1000);`);
  const config = smallConfig({
    processes:
      "  api:\n    command: node server.mjs\n    port: api\n    health: { path: / }\n  forks:\n    command: node fork.cjs",
  });
  await writeFile(join(repo, "agent-harness.yml"), config);
  await h.ok(repo, "launch", "60");
  const pid = await until("the daemon runs", async () =>
    Number(await readFile(join(repo, "daemon.pid"), "utf8").catch(() => 0)),
  );
  expect(isAlive(pid)).toBe(true);
  const { stdout } = await h.ok(repo, "teardown", "60");
  for (const part of ["agent-60-api", "the bucket agent-60", "the database agent_60"]) expect(stdout).toContain(part);
  expect(await h.left(60)).toEqual([]);
  expect((await h.ok(repo, "teardown", "60")).stdout).toContain("Agent 60 has no stack");
  await writeFile(join(repo, "agent-harness.yml"), smallConfig());
});

test("what a teardown killed at its very end left of the folder goes too; a ledger kept aside stays", async () => {
  const folder = join(h.paths.stacks, "60");
  await mkdir(join(folder, "logs"), { recursive: true });
  await h.ok(repo, "teardown", "60", "--dry-run");
  expect(await readdir(folder)).toEqual(["logs"]);
  await h.ok(repo, "teardown", "60");
  expect(await h.left(60)).toEqual([]);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "ledger.json.corrupt-2026"), "{");
  await h.ok(repo, "teardown", "60");
  expect(await keptAside(folder)).toHaveLength(1);
  await rm(folder, { recursive: true });
});

test("--dry-run names everything and touches nothing", async () => {
  await h.ok(repo, "launch", "60");
  const [pids, ledger] = [await h.pids(60), await readFile(ledgerFile(60), "utf8")];
  const { stdout } = await h.ok(repo, "teardown", "60", "--dry-run");
  for (const part of [
    "agent-60-api",
    "agent-60-idle",
    ".env.agent.60",
    "the bucket agent-60",
    "the database agent_60",
  ]) {
    expect(stdout).toContain(part);
  }
  expect(await h.pids(60)).toEqual(pids);
  expect(await readFile(ledgerFile(60), "utf8")).toBe(ledger);
  await h.ok(repo, "teardown", "60");
});

test.each(["deleted", "broken"])("a config that is %s does not keep its stack alive", async (how) => {
  await h.ok(repo, "launch", "61");
  const path = join(repo, "agent-harness.yml");
  await (how === "deleted" ? rm(path) : writeFile(path, "processes: [oh\nno: {"));
  await h.ok(h.home, "teardown", "61");
  expect(await h.left(61)).toEqual([]);
  await writeFile(path, smallConfig());
});

test("a working directory that was deleted does not keep its stack alive", async () => {
  const gone = await h.project();
  await h.ok(gone, "launch", "61");
  await rm(gone, { recursive: true });
  await h.ok(h.home, "teardown", "61");
  expect(await h.left(61)).toEqual([]);
});

test("with Postgres down teardown says what is left and keeps the ledger; once it is up, nothing is left", async () => {
  await h.ok(repo, "launch", "62");
  {
    await using pm2 = await findProcesses(h.paths.pm2);
    await pm2?.remove(["infra-postgres"]);
  }
  const error = await h.refused(repo, "teardown", "62");
  expect(error).toMatchObject({ exitCode: 1, code: "SURVIVORS", leftBehind: expect.stringContaining("the ledger") });
  expect(error.message).toContain("database");
  expect(error.hint).toContain("agent-harness infra up");
  expect((await h.ledger(62)).status).toBe("tearing-down");
  // What could go is gone.
  expect(await h.pids(62)).toEqual({});
  await h.ok(repo, "infra", "up");
  await h.ok(repo, "teardown", "62");
  expect(await h.left(62)).toEqual([]);
});

test("a lost ledger: teardown asks for each thing and takes it away", async () => {
  await h.ok(repo, "launch", "63");
  await rm(ledgerFile(63));
  await h.ok(repo, "teardown", "63");
  expect(await h.left(63)).toEqual([]);
});

test.each(["", "{ not json", '{"version": 1}'])(
  "a ledger of %j is kept aside; launch goes on, teardown leaves nothing",
  async (text) => {
    const afterClone = "    - sql: INSERT INTO notes (text) VALUES ('after')";
    await writeFile(join(repo, "agent-harness.yml"), smallConfig({ afterClone }));
    await h.ok(repo, "launch", "63");
    await writeFile(ledgerFile(63), text);
    await h.ok(repo, "launch", "63");
    const [kept] = await keptAside(join(h.paths.stacks, "63"));
    expect(await readFile(join(h.paths.stacks, "63", kept ?? ""), "utf8")).toBe(text);
    expect((await h.ledger(63)).status).toBe("ready");
    // What runs after the clone ran once, whatever became of the ledger.
    expect(await h.sql("agent_63", "select text from notes order by id")).toEqual([
      { text: "seed" },
      { text: "after" },
    ]);
    await writeFile(ledgerFile(63), text);
    await h.ok(repo, "teardown", "63");
    expect(await h.left(63)).toEqual([]);
  },
);

test.each(["deleted", "broken"])("a registry that is %s is rebuilt from the ledgers", async (how) => {
  await h.ok(repo, "launch", "64");
  await (how === "deleted" ? rm(h.paths.registry) : writeFile(h.paths.registry, "{ not json"));
  const other = await h.project();
  expect(await h.refused(other, "launch", "64")).toMatchObject({ code: "AGENT_ID_TAKEN" });
  expect(await keptAside(h.home)).toHaveLength(how === "deleted" ? 0 : 1);
  await h.ok(repo, "teardown", "64");
  expect(await h.left(64)).toEqual([]);
});

test("a database without our mark is neither adopted nor destroyed", async () => {
  await h.sql("postgres", "create database agent_65");
  await h.sql("agent_65", "create table precious (id int)");
  const error = await h.refused(repo, "launch", "65");
  expect(error).toMatchObject({ exitCode: 5, code: "NAME_FOREIGN", message: expect.stringContaining("agent_65") });
  expect((await h.refused(repo, "reset", "65")).code).toBe("NAME_FOREIGN");
  await h.ok(repo, "teardown", "65");
  expect(await h.left(65)).toEqual(["database agent_65"]);
  expect(await h.sql("agent_65", "select to_regclass('precious')::text as t")).toEqual([{ t: "precious" }]);
  await h.sql("postgres", "drop database agent_65");
});

test("a bucket without our mark is neither adopted nor destroyed", async () => {
  const { s3, machine } = await h.infra();
  const buckets = openBuckets(s3);
  await buckets.ensure("agent-66", { machine: "another", kind: "agent", id: 66 });
  const error = await h.refused(repo, "launch", "66");
  expect(error).toMatchObject({ exitCode: 5, code: "NAME_FOREIGN", message: expect.stringContaining("agent-66") });
  await h.ok(repo, "teardown", "66");
  expect(await h.left(66)).toEqual(["bucket agent-66"]);
  expect(await buckets.marker("agent-66")).toMatchObject({ machine: "another" });
  expect(machine).not.toBe("another");
  await buckets.remove("agent-66");
});

test("teardown-all takes this repository's stacks; --everywhere takes all", async () => {
  const other = await h.project({ "agent-harness.yml": smallConfig().replace("name: small", "name: other") });
  await h.ok(repo, "launch", "67");
  await h.ok(other, "launch", "68");
  await h.ok(repo, "launch", "69");
  const pids = await h.pids(68);
  await h.ok(repo, "teardown-all");
  expect([...(await h.left(67)), ...(await h.left(69))]).toEqual([]);
  expect(await h.pids(68)).toEqual(pids);
  expect(await h.ask(other, "68", "health")).toMatchObject({ healthy: true });
  await h.ok(repo, "launch", "67");
  await h.ok(h.home, "teardown-all", "--everywhere");
  expect([...(await h.left(67)), ...(await h.left(68))]).toEqual([]);
});

test("a stack whose folder was moved is torn down where it was made; its files moved with it", async () => {
  const moving = await h.project();
  await h.ok(moving, "launch", "70");
  await rename(moving, `${moving}-moved`);
  await h.ok(h.home, "teardown", "70");
  expect(await h.left(70)).toEqual([]);
  await rename(`${moving}-moved`, moving);
});
