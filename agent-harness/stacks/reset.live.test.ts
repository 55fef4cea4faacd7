import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBuckets } from "../infra/index.ts";
import { build, killedWhile, startDoing } from "../testing/crash.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { sendMail } from "../testing/smtp.ts";
import { until } from "../testing/until.ts";

let h: SmallHarness;
let repo: string;

const afterClone =
  "    - sql: INSERT INTO notes (text) VALUES (current_database() || ' {{database.name}} {{env.PORT}}')\n    - run: [node, after.mjs]";

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project({
    "agent-harness.yml": smallConfig({ pool: 1, afterClone }),
    "after.mjs":
      'import { appendFileSync } from "node:fs";\nappendFileSync("ran.txt", process.env.PGDATABASE + "\\n");\n',
  });
  await h.ok(repo, "launch", "71");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const fresh = [{ text: "seed" }, { text: "agent_71 agent_71 8710" }];
const notes = () => h.sql("agent_71", "select text from notes order by id");
const oid = async () => (await h.sql("postgres", "select oid::int8 from pg_database where datname = 'agent_71'"))[0];

async function spoil(): Promise<void> {
  await h.sql("agent_71", "insert into notes (text) values ('mine')");
  const { s3, mail } = await h.infra();
  await openBuckets(s3).ensure("agent-71", { machine: (await h.infra()).machine, kind: "agent", id: 71 });
  const { Client } = await import("minio");
  const { hostname, port } = new URL(s3.url);
  const keys = { accessKey: s3.accessKey, secretKey: s3.secretKey, region: s3.region, useSSL: false };
  await new Client({ endPoint: hostname, port: Number(port), pathStyle: true, ...keys }).putObject(
    "agent-71",
    "a/b",
    "x",
  );
  const from = "agent-71@agent-harness.test";
  await sendMail(mail.smtpPort, { from, to: ["you@example.test"], subject: "old", text: "old" });
  await until("the mail is there", async () => ((await h.ask(repo, "71", "mail")) as unknown[]).length === 1);
}

async function objects(): Promise<string[]> {
  const { s3 } = await h.infra();
  const { Client } = await import("minio");
  const { hostname, port } = new URL(s3.url);
  const keys = { accessKey: s3.accessKey, secretKey: s3.secretKey, region: s3.region, useSSL: false };
  const client = new Client({ endPoint: hostname, port: Number(port), pathStyle: true, ...keys });
  const names: string[] = [];
  for await (const item of client.listObjects("agent-71", "", true)) names.push(String(item.name));
  return names.filter((name) => !name.startsWith(".agent-harness"));
}

const noTrash = () =>
  until("the old database is dropped", async () => {
    const rows = await h.sql("postgres", "select 1 from pg_database where starts_with(datname, 'ah_trash_')");
    return rows.length === 0;
  });

test("what runs after the clone ran once, in the agent's own database", async () => {
  expect(await notes()).toEqual(fresh);
  await h.ok(repo, "launch", "71");
  expect(await notes()).toEqual(fresh);
});

test("reset gives fresh data, an empty bucket and no mails, on the same ports", async () => {
  await spoil();
  const [before, pids, urls] = [await oid(), await h.pids(71), (await h.ledger(71)).urls];
  await h.ok(repo, "reset", "71");
  expect(await notes()).toEqual(fresh);
  expect(await oid()).not.toEqual(before);
  expect(await objects()).toEqual([]);
  expect(await h.ask(repo, "71", "mail")).toEqual([]);
  expect((await h.ledger(71)).urls).toEqual(urls);
  const after = await h.pids(71);
  for (const name of Object.keys(pids)) expect(after[name]).not.toBe(pids[name]);
  expect(await (await fetch("http://localhost:8710/")).json()).toMatchObject({ database: "agent_71" });
  await noTrash();
});

/** What must be as it was after a reset that could not work. */
const whole = async () => [await oid(), await notes(), await objects(), await h.pids(71), await h.ledger(71)];

test("a reset that cannot work loses nothing: a missing program, a broken migration, a value that no env file can carry", async () => {
  await spoil();
  const before = await whole();
  const [config, schema] = [join(repo, "agent-harness.yml"), join(repo, "schema.sql")];
  const [configText, schemaText] = await Promise.all([readFile(config, "utf8"), readFile(schema, "utf8")]);
  await writeFile(config, configText.replace("node idle.mjs", "no-such-program"));
  expect(await h.refused(repo, "reset", "71")).toMatchObject({ code: "EXECUTABLE_NOT_FOUND" });
  await writeFile(config, configText);
  await writeFile(schema, "CREATE TABEL notes ()");
  expect(await h.refused(repo, "reset", "71", "--fresh")).toMatchObject({ code: "BUILD_STEP_FAILED" });
  await writeFile(schema, schemaText);
  const env = "BOTH=\"'`\n";
  expect(await h.refused(repo, "reset", "71", "--env", env)).toMatchObject({ code: "ENV_VALUE_UNSUPPORTED" });
  expect(await whole()).toEqual(before);
});

test("a reset whose new port somebody else has loses nothing", async () => {
  const before = await whole();
  const config = join(repo, "agent-harness.yml");
  const text = await readFile(config, "utf8");
  const server = createServer().listen(9913, "127.0.0.1");
  await once(server, "listening");
  try {
    await writeFile(config, text.replace("debug: 9200", "debug: 9203"));
    expect(await h.refused(repo, "reset", "71")).toMatchObject({ code: "PORT_TAKEN" });
  } finally {
    await writeFile(config, text);
    server.close();
  }
  expect(await whole()).toEqual(before);
});

test("a session on the old database does not stop a reset", async () => {
  const asleep = h.sql("agent_71", "select pg_sleep(60)").catch((error: Error) => error.message);
  await until("it sleeps", async () => {
    const rows = await h.sql(
      "postgres",
      "select 1 from pg_stat_activity where query like '%pg_sleep(60)%' and datname = 'agent_71'",
    );
    return rows.length > 0;
  });
  await h.ok(repo, "reset", "71");
  expect(await asleep).toBeTruthy();
  expect(await notes()).toEqual(fresh);
});

test.each(["stop processes", "old database", "bucket and mails"])(
  "a reset killed at %s is finished by launch",
  async (step) => {
    for (const event of ["start", "done"] as const) {
      await spoil();
      await killedWhile(h, { verb: "reset", repo, id: 71 }, step, event);
      await h.ok(repo, "launch", "71");
      expect(await (await fetch("http://localhost:8710/")).json()).toMatchObject({ database: "agent_71" });
      // Killed before it had begun, it has reset nothing.
      if (step !== "stop processes") expect(await notes()).toEqual(fresh);
      await h.ok(repo, "reset", "71");
      expect(await notes()).toEqual(fresh);
      expect(await objects()).toEqual([]);
    }
  },
);

test("launches killed at any time leave nothing that a teardown does not take away", async () => {
  for (const afterMs of [150, 300, 450, 600, 750, 900]) {
    await startDoing(h, { verb: "launch", repo, id: 72 }, { afterMs }).ended;
    await h.ok(repo, "teardown", "72");
    expect(await h.left(72), `${afterMs} ms`).toEqual([]);
  }
});

test("a reset without a pool drops the old database as well", async () => {
  const bare = await h.project({ "agent-harness.yml": smallConfig().replace("name: small", "name: bare") });
  await h.ok(bare, "launch", "73");
  await h.ok(bare, "reset", "73");
  await noTrash();
});

test("a reset of a stack that is not there says so and makes nothing", async () => {
  expect(await h.refused(repo, "reset", "74")).toMatchObject({ exitCode: 4, code: "STACK_NOT_FOUND" });
  expect(await h.left(74)).toEqual([]);
});
