import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { HarnessError } from "../shared/errors.ts";
import { poolPrefix, templateDatabaseName } from "../shared/names.ts";
import { packageRoot } from "../shared/paths.ts";
import { isAlive } from "../shared/process-tree.ts";
import { silent } from "../shared/progress.ts";
import { writeProject } from "../testing/harness.ts";
import { openTestPostgres, type TestPostgres } from "../testing/postgres.ts";
import { until } from "../testing/until.ts";
import { copyDatabase, maintenanceDatabase } from "./databases.ts";
import { fingerprintOf, type TemplateSource } from "./fingerprint.ts";
import { claimDatabase, refillPool } from "./pool.ts";
import { withSql } from "./sql.ts";
import { canReflink, chooseStrategy, readServerFacts } from "./strategy.ts";
import { dropTemplateDatabase, ensureTemplateDatabase, listTemplateDatabases } from "./template-db.ts";

const machine = "template-test";
let postgres: TestPostgres;
let folder: string;

beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(async () => await postgres[Symbol.asyncDispose]());

beforeEach(async () => {
  folder = await writeProject();
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  for (const prefix of ["ah_", "clone_"]) {
    for (const name of await postgres.names(prefix)) {
      await postgres.sql(maintenanceDatabase, `ALTER DATABASE ${name} IS_TEMPLATE false`);
      await postgres.sql(maintenanceDatabase, `DROP DATABASE ${name} WITH (FORCE)`);
    }
  }
});

const envFor = (database: string): Record<string, string> => ({
  PATH: process.env["PATH"] ?? "",
  PGHOST: postgres.server.host,
  PGPORT: String(postgres.server.port),
  PGUSER: postgres.server.user,
  PGPASSWORD: postgres.server.password,
  PGDATABASE: database,
});

const source = (changes: Partial<TemplateSource> = {}): TemplateSource => ({
  project: "small",
  repository: folder,
  folder,
  inputs: ["*.sql"],
  steps: [{ words: ["node", "build.mjs"], cwd: folder }],
  extensions: [],
  envFor,
  argvFor: ({ words }, database) => words.map((word) => word.replace("{{database.name}}", database)),
  ...changes,
});

async function build(changes: Partial<TemplateSource> = {}) {
  const from = source(changes);
  const fingerprint = await fingerprintOf(from, 18);
  const logFile = join(folder, "build.log");
  const options = { server: postgres.server, machine, source: from, fingerprint, logFile, progress: silent };
  return { ...(await ensureTemplateDatabase(options)), fingerprint };
}

const clone = (from: string, to: string): Promise<void> =>
  withSql(postgres.server, maintenanceDatabase, (sql) => copyDatabase(sql, from, to, "wal_log"));

/** A step that connects, says its pid in a file, and stays until its connection ends. */
const waitingStep = async (): Promise<TemplateSource["steps"]> => {
  const text = (await readFile(join(folder, "build.mjs"), "utf8")).replace(
    "await client.end();",
    'client.on("error", () => process.exit(1));\n(await import("node:fs")).writeFileSync("step.pid", String(process.pid));\nsetInterval(() => undefined, 1000);',
  );
  await writeFile(join(folder, "wait.mjs"), text);
  return [{ words: ["node", "wait.mjs"], cwd: folder }];
};

const stepPid = (): Promise<number> =>
  until(
    "the step to run",
    async () => Number(await readFile(join(folder, "step.pid"), "utf8").catch(() => "")) || false,
  );

describe("a template database", () => {
  it("is built once, by two at the same time too, and then only copied", async () => {
    const [one, two] = await Promise.all([build(), build()]);
    expect([one.built, two.built].sort()).toEqual([false, true]);
    expect(one.name).toBe(templateDatabaseName(one.fingerprint));
    expect((await build()).built).toBe(false);
    expect(await postgres.names("ah_")).toEqual([one.name]);
    const listed = await withSql(postgres.server, maintenanceDatabase, (sql) => listTemplateDatabases(sql, machine));
    expect(listed).toMatchObject([
      { name: one.name, isTemplate: true, stamp: { project: "small", repository: folder } },
    ]);
    await expect(postgres.sql(one.name, "SELECT 1")).rejects.toMatchObject({ code: "55000" });
    await clone(one.name, "clone_one");
    expect((await postgres.sql("clone_one", "SELECT text FROM notes")).rows).toEqual([{ text: "seed" }]);
  });

  it("gives its clones pg_stat_statements, and neither its mark nor its settings", async () => {
    const { name } = await build({ extensions: ["pgcrypto"] });
    await postgres.sql(maintenanceDatabase, `ALTER DATABASE ${name} SET work_mem = '7MB'`);
    await clone(name, "clone_two");
    const { rows } = await postgres.sql("clone_two", "SELECT count(*)::int AS calls FROM pg_stat_statements");
    expect(Number(rows[0]?.["calls"])).toBeGreaterThanOrEqual(0);
    expect((await postgres.sql("clone_two", "SELECT gen_random_bytes(4)")).rows).toHaveLength(1);
    expect((await postgres.sql("clone_two", "SHOW work_mem")).rows).not.toEqual([{ work_mem: "7MB" }]);
    const comment = "SELECT shobj_description(oid, 'pg_database') AS c FROM pg_database WHERE datname = 'clone_two'";
    expect((await postgres.sql("clone_two", comment)).rows).toEqual([{ c: null }]);
  });

  it("is copied at once while somebody keeps trying to connect to it", async () => {
    const { name } = await build();
    let tries = 0;
    let stop = false;
    const insist = async (): Promise<void> => {
      while (!stop) {
        await expect(postgres.sql(name, "SELECT 1")).rejects.toMatchObject({ code: "55000" });
        tries += 1;
      }
    };
    const insisting = Promise.all([insist(), insist(), insist()]);
    await until("the first tries", () => tries > 5);
    const before = tries;
    const start = performance.now();
    await clone(name, "clone_three");
    const took = performance.now() - start;
    stop = true;
    await insisting;
    // Postgres waits 5 s for sessions on the source before it gives up.
    expect(took).toBeLessThan(4000);
    expect(tries).toBeGreaterThan(before);
  });

  it("of somebody else by that name is never taken over", async () => {
    const name = templateDatabaseName(await fingerprintOf(source(), 18));
    await postgres.sql(maintenanceDatabase, `CREATE DATABASE ${name}`);
    await expect(build()).rejects.toMatchObject({ code: "NAME_FOREIGN", message: expect.stringContaining(name) });
    expect(await postgres.names("ah_")).toEqual([name]);
  });

  it("is dropped with its pool, and the databases made from it live on", async () => {
    const { name, fingerprint } = await build();
    const options = { machine, fingerprint, strategy: "wal_log" as const };
    await refillPool(postgres.server, { ...options, size: 1 });
    await claimDatabase(postgres.server, { ...options, name: "clone_claimed", stamp: { id: 50 } });
    await refillPool(postgres.server, { ...options, size: 1 });
    const [ready] = await postgres.names(poolPrefix(fingerprint));
    const drop = (as: string) =>
      withSql(postgres.server, maintenanceDatabase, (sql) => dropTemplateDatabase(sql, as, fingerprint));
    expect(await drop("another machine")).toEqual([]);
    expect(await drop(machine)).toEqual([ready, name]);
    expect(await drop(machine)).toEqual([]);
    expect(await postgres.names("ah_")).toEqual([]);
    expect((await postgres.sql("clone_claimed", "SELECT text FROM notes")).rows).toHaveLength(1);
  });
});

describe("the fingerprint", () => {
  it("follows names and content, not times", async () => {
    const first = await fingerprintOf(source(), 18);
    await utimes(join(folder, "schema.sql"), new Date(0), new Date(0));
    expect(await fingerprintOf(source({ extensions: [] }), 18)).toBe(first);
    const others = [
      await fingerprintOf(source(), 17),
      await fingerprintOf(source({ project: "other" }), 18),
      await fingerprintOf(source({ extensions: ["pgcrypto"] }), 18),
      await fingerprintOf(source({ steps: [] }), 18),
    ];
    await rename(join(folder, "schema.sql"), join(folder, "schema2.sql"));
    others.push(await fingerprintOf(source(), 18));
    await rename(join(folder, "schema2.sql"), join(folder, "schema.sql"));
    expect(await fingerprintOf(source(), 18)).toBe(first);
    await writeFile(join(folder, "schema.sql"), "CREATE TABLE notes (id int);\n");
    others.push(await fingerprintOf(source(), 18));
    expect(new Set([first, ...others]).size).toBe(others.length + 1);
    const two = ["pgcrypto", "citext"];
    expect(await fingerprintOf(source({ extensions: two }), 18)).toBe(
      await fingerprintOf(source({ extensions: [...two].reverse() }), 18),
    );
  });

  it("cannot be taken of inputs that match nothing", async () => {
    await expect(fingerprintOf(source({ inputs: ["db/*.sql"] }), 18)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});

describe("a build that does not end well", () => {
  it("leaves nothing when a step fails, and the next one builds again", async () => {
    const good = await readFile(join(folder, "schema.sql"), "utf8");
    await writeFile(join(folder, "schema.sql"), "CREATE TABLE notes (id int); SELECT nonsense;\n");
    await expect(build()).rejects.toMatchObject({
      code: "BUILD_STEP_FAILED",
      message: expect.stringMatching(/"node build\.mjs" exited with 1[\s\S]*nonsense/),
      hint: expect.stringContaining("agent-harness setup"),
    });
    expect(await postgres.names("ah_")).toEqual([]);
    await writeFile(join(folder, "schema.sql"), good);
    expect(await build()).toMatchObject({ built: true });
  });

  it("fills a step in for the database that is built, and shows it as it was written", async () => {
    const words = ["node", "-e", "console.log(process.argv[1]); process.exit(3)", "s3cret-of-{{database.name}}"];
    const error: HarnessError = await build({ steps: [{ words, cwd: folder }] }).catch((thrown) => thrown);
    expect(error.message).toMatch(/"node -e .* s3cret-of-\{\{database\.name\}\}" exited with 3/);
    // What the program itself printed.
    expect(error.message).toMatch(/\ns3cret-of-ah_build_[0-9a-f_]+$/);
    expect(JSON.stringify(error.context)).not.toContain("s3cret-of-ah_build");
  });

  it("says which program of a step is missing", async () => {
    const steps = [{ words: ["no-such-program"], cwd: folder }];
    await expect(build({ steps })).rejects.toMatchObject({ code: "EXECUTABLE_NOT_FOUND" });
    expect(await postgres.names("ah_")).toEqual([]);
  });

  it("names an extension that the server lacks, and the ways out", async () => {
    await expect(build({ extensions: ["vector"] })).rejects.toMatchObject({
      code: "EXTENSION_UNAVAILABLE",
      message: expect.stringContaining('"vector"'),
      hint: expect.stringMatching(/infra\.postgres\.url.*database\.extensions/),
    });
    expect(await postgres.names("ah_")).toEqual([]);
  });

  it("does not wait for a session that a step left behind", async () => {
    const [step] = await waitingStep();
    const leave = `const { spawn } = require("node:child_process"); spawn("node", ["wait.mjs"], { detached: true, stdio: "ignore" }).unref(); const at = setInterval(() => require("node:fs").existsSync("step.pid") && clearInterval(at), 20);`;
    await writeFile(join(folder, "leave.cjs"), leave);
    const start = performance.now();
    const { name } = await build({ steps: [{ words: ["node", "leave.cjs"], cwd: step?.cwd ?? folder }] });
    expect(performance.now() - start).toBeLessThan(4500);
    const pid = await stepPid();
    await until("the session to end", () => !isAlive(pid));
    expect(await postgres.names("ah_")).toEqual([name]);
  });

  it("killed in the middle of a step leaves nothing that looks whole, and the next one clears up", async () => {
    const steps = await waitingStep();
    const fingerprint = await fingerprintOf(source({ steps }), 18);
    const code = `
      const { ensureTemplateDatabase } = await import(process.argv[1]);
      const { database, source, ...rest } = JSON.parse(process.argv[2]);
      const envFor = (name) => ({ ...source.env, PGDATABASE: name });
      const argvFor = (step) => step.words;
      await ensureTemplateDatabase({ ...rest, source: { ...source, envFor, argvFor }, progress: () => undefined });`;
    const plain = { server: postgres.server, machine, fingerprint, logFile: join(folder, "build.log") };
    const builder = spawn(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        code,
        pathToFileURL(join(packageRoot(), "dist", "infra", "index.js")).href,
        JSON.stringify({ ...plain, source: { ...source({ steps }), env: envFor("") } }),
      ],
      { stdio: "ignore" },
    );
    const pid = await stepPid();
    builder.kill("SIGKILL");
    await once(builder, "exit");
    expect(await postgres.names("ah_tpl_")).toEqual([]);
    expect(await postgres.names("ah_build_")).toHaveLength(1);
    // The files changed meanwhile: what the dead build left must go all the same.
    const { name, built } = await build();
    expect(built).toBe(true);
    expect(await postgres.names("ah_")).toEqual([name]);
    await until("the step of the dead build to end", () => !isAlive(pid));
  });
});

describe("a server", () => {
  it("that does not answer is said to, with what to do", async () => {
    const options = { server: { ...postgres.server, port: 1 }, machine, source: source() };
    const rest = { fingerprint: "0".repeat(64), logFile: join(folder, "build.log"), progress: silent };
    await expect(ensureTemplateDatabase({ ...options, ...rest })).rejects.toMatchObject({
      code: "POSTGRES_UNAVAILABLE",
      message: expect.stringContaining("127.0.0.1:1"),
      hint: "Run: agent-harness infra up",
    });
  });

  it("is asked for what the strategy depends on", async () => {
    const reflink = await canReflink(postgres.dataFolder);
    const facts = await withSql(postgres.server, maintenanceDatabase, (sql) => readServerFacts(sql, reflink));
    expect(facts).toMatchObject({ major: 18, fsync: true });
    expect(["clone", "wal_log"]).toContain(chooseStrategy(facts, 8 * 1024 * 1024, "auto").strategy);
  });
});
