import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { git, openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { until } from "../testing/until.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const configure = (text: string): Promise<void> => writeFile(join(repo, "agent-harness.yml"), text);

const api = "  api:\n    command: node server.mjs\n    port: api\n    health: { path: /health, timeoutMs: 15000 }";

test("a process with enabledBy runs only while its variable is true", async () => {
  const processes = `${api}\n  worker:\n    command: node idle.mjs\n    enabledBy: SCHEDULER_ENABLED`;
  await configure(smallConfig({ processes }));
  await h.ok(repo, "launch", "62");
  expect(Object.keys(await h.pids(62))).toEqual(["agent-62-api"]);
  await h.ok(repo, "launch", "62", "--env", "SCHEDULER_ENABLED=true");
  expect(Object.keys(await h.pids(62)).sort()).toEqual(["agent-62-api", "agent-62-worker"]);
  await h.ok(repo, "launch", "62");
  expect(Object.keys(await h.pids(62))).toEqual(["agent-62-api"]);
  expect((await h.ledger(62)).processes.map((one) => one.process)).toEqual(["api"]);
});

test("a process starts when those that it depends on are healthy", async () => {
  const slow = [
    'import { createServer } from "node:http";',
    'import { writeFileSync } from "node:fs";',
    'setTimeout(() => createServer((q, r) => { writeFileSync("healthy.txt", String(Date.now())); r.end(); })',
    '  .listen(Number(process.env.PORT), "127.0.0.1"), 400);',
  ].join("\n");
  await writeFile(join(repo, "slow.mjs"), slow);
  await writeFile(
    join(repo, "after.mjs"),
    'import { readFileSync } from "node:fs"; console.log("healthy at " + readFileSync("healthy.txt")); setInterval(() => 0, 1000);',
  );
  const processes = [
    "  after:\n    command: node after.mjs\n    dependsOn: [slow]",
    "  slow:\n    command: node slow.mjs\n    port: api\n    health: { path: /, timeoutMs: 15000 }",
  ].join("\n");
  await configure(smallConfig({ processes, settleMs: 100 }));
  await h.ok(repo, "launch", "62");
  const lines = await until("its first line", async () => {
    const printed = (await h.ask(repo, "62", "logs", "after")) as { line: string }[];
    return printed.length > 0 && printed;
  });
  expect(lines[0]?.line).toMatch(/^healthy at \d+/);
});

test("a value that no env file can carry is refused by its key, and nothing is left behind", async () => {
  const env = String.raw`  FINE: ok${"\n"}  NASTY: "a'b\"c${"`"}d\ne"`;
  await configure(smallConfig({ env }));
  const error = await h.refused(repo, "launch", "63");
  expect(error).toMatchObject({
    exitCode: 3,
    code: "ENV_VALUE_UNSUPPORTED",
    message: expect.stringContaining("NASTY"),
  });
  expect(error.stderr).not.toContain("a'b");
  expect(await h.left(63)).toEqual([]);
});

test("a program that is not there is named before anything is made", async () => {
  await configure(smallConfig({ processes: "  api:\n    command: no-such-program --now" }));
  const error = await h.refused(repo, "launch", "63");
  expect(error).toMatchObject({ exitCode: 3, code: "EXECUTABLE_NOT_FOUND", leftBehind: "nothing" });
  expect(error.message).toContain("no-such-program");
  expect(await h.left(63)).toEqual([]);
});

test("a name that cannot be filled in is refused with its place, and nothing is made", async () => {
  await configure(smallConfig({ env: "  SITE: '{{urls.nowhere}}'" }));
  const error = await h.refused(repo, "launch", "63");
  expect(error).toMatchObject({ exitCode: 3, code: "TEMPLATE_INVALID", message: expect.stringContaining("env.SITE") });
  expect(await h.left(63)).toEqual([]);
});

test("instructions of the project's own that cannot be filled in leave the running stack's files alone", async () => {
  await configure(smallConfig());
  await h.ok(repo, "launch", "62");
  const before = await readFile(join(repo, "CLAUDE.agent.62.md"), "utf8");
  await writeFile(join(repo, "mine.hbs"), "# {{nothing.here}}");
  await configure(smallConfig({ rest: "instructions: mine.hbs" }));
  const error = await h.refused(repo, "launch", "62");
  expect(error).toMatchObject({ code: "TEMPLATE_INVALID", message: expect.stringContaining("mine.hbs") });
  expect(await readFile(join(repo, "CLAUDE.agent.62.md"), "utf8")).toBe(before);
  await writeFile(join(repo, "mine.hbs"), "# agent {{id}} in {{workdir}}\n");
  await h.ok(repo, "launch", "62");
  const { machine } = await h.infra();
  expect(await readFile(join(repo, "CLAUDE.agent.62.md"), "utf8")).toBe(
    `<!-- Written by agent-harness for agent 62 (small; harness ${machine}). Changes are lost at the next launch. -->\n# agent 62 in ${repo}\n`,
  );
});

test("a changed input: launch takes the old template database, says so and names setup; --fresh builds", async () => {
  await configure(smallConfig());
  const schema = await readFile(join(repo, "schema.sql"), "utf8");
  await writeFile(join(repo, "schema.sql"), `${schema}CREATE TABLE later (id int);\n`);
  const { stderr } = await h.ok(repo, "launch", "64");
  expect(stderr).toContain("agent-harness setup");
  expect(await h.sql("agent_64", "select to_regclass('later')::text as t")).toEqual([{ t: null }]);
  const fresh = await h.ok(repo, "launch", "65", "--fresh");
  expect(fresh.stderr).not.toContain("agent-harness setup");
  expect(await h.sql("agent_65", "select to_regclass('later')::text as t")).toEqual([{ t: "later" }]);
});

test("a build step that fails is named with its output, and the next setup builds again", async () => {
  const schema = await readFile(join(repo, "schema.sql"), "utf8");
  await writeFile(join(repo, "schema.sql"), `${schema}CREATE TABLE broken (;\n`);
  const error = await h.refused(repo, "launch", "66", "--fresh");
  expect(error).toMatchObject({ exitCode: 1, code: "BUILD_STEP_FAILED" });
  expect(error.message).toContain("syntax error");
  expect(await h.left(66)).toEqual([]);
  expect(await h.sql("postgres", "select datname from pg_database where datname like 'ah_build%'")).toEqual([]);
  await writeFile(join(repo, "schema.sql"), `${schema}CREATE TABLE mended (id int);\n`);
  await h.ok(repo, "launch", "66", "--fresh");
  expect(await h.sql("agent_66", "select to_regclass('mended')::text as t")).toEqual([{ t: "mended" }]);
});

test("a build step is filled in with the database that is being built", async () => {
  await configure(smallConfig().replace("[node build.mjs]", "[node build.mjs, 'node named.mjs {{database.name}}']"));
  await writeFile(join(repo, "named.mjs"), "process.env.PGDATABASE === process.argv[2] || process.exit(1);");
  await h.ok(repo, "launch", "50", "--fresh");
  expect(await h.sql("agent_50", "select text from notes")).toEqual([{ text: "seed" }]);
});

test("a project of the same name in another repository gets its own data, a worktree that of its repository", async () => {
  await configure(smallConfig());
  await h.ok(repo, "setup");
  const schema = "CREATE TABLE notes (id int, text text); INSERT INTO notes (text) VALUES ('of the other');\n";
  const other = await h.project({ "schema.sql": schema });
  await h.ok(other, "launch", "51");
  expect(await h.sql("agent_51", "select text from notes")).toEqual([{ text: "of the other" }]);

  const tree = `${other}-tree`;
  onTestFinished(() => rm(tree, { recursive: true, force: true }));
  await git(other, "worktree", "add", "-q", "-b", "next", tree);
  await writeFile(join(tree, "schema.sql"), `${schema}CREATE TABLE later (id int);\n`);
  const launched = await h.ok(tree, "launch", "52");
  expect(launched.stderr).toContain("agent-harness setup");
  expect(await h.sql("agent_52", "select text from notes")).toEqual([{ text: "of the other" }]);
  await h.ok(tree, "teardown", "52");

  const templates = async () =>
    JSON.parse((await h.ok(repo, "template-db", "list", "--json")).stdout) as { repository: string }[];
  const before = await templates();
  expect(new Set(before.map((one) => one.repository))).toEqual(new Set([repo, other]));
  await h.ok(other, "template-db", "drop");
  expect(await templates()).toEqual(before.filter((one) => one.repository === repo));
});
