import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../../shared/paths.ts";
import { objectsIn } from "../../testing/objects.ts";
import { openS3Client } from "../../testing/s3-client.ts";
import { openSmall, type SmallHarness, smallConfig } from "../../testing/small.ts";
import { until } from "../../testing/until.ts";

let h: SmallHarness;
let repo: string;

const require = `createRequire(${JSON.stringify(join(packageRoot(), "package.json"))})`;

/** Writes without a pause, from four sides: an object, then in one transaction a row that names it and two that add up to zero. */
const writer = [
  'import { createRequire } from "node:module";',
  'import { createServer } from "node:http";',
  `const [pg, { Client }] = ["pg", "minio"].map(${require});`,
  "const pool = new pg.Pool({ max: 8 });",
  'pool.on("error", () => undefined);',
  'const s3 = new Client({ endPoint: "127.0.0.1", port: Number(new URL(process.env.S3_ENDPOINT).port), useSSL: false,',
  "  accessKey: process.env.S3_ACCESS_KEY, secretKey: process.env.S3_SECRET_KEY, region: process.env.S3_REGION });",
  "const counts = { written: 0, failed: 0 };",
  "async function writeOne(key) {",
  "  await s3.putObject(process.env.S3_BUCKET, key, key);",
  "  const client = await pool.connect();",
  "  let lost;",
  '  client.on("error", (error) => (lost = error));',
  "  try {",
  '    await client.query("BEGIN");',
  '    await client.query("INSERT INTO entries (key, amount) VALUES ($1, 1)", [key]);',
  '    await client.query("INSERT INTO entries (key, amount) VALUES ($1, -1)", [key]);',
  '    await client.query("COMMIT");',
  "  } catch (error) { lost = error; }",
  '  client.removeAllListeners("error");',
  "  client.release(lost);",
  "  if (lost) throw lost;",
  "}",
  "async function side(name) {",
  "  for (let at = 0; ; at += 1) {",
  "    try { await writeOne(`${name}-${at}`); counts.written += 1; } catch { counts.failed += 1; }",
  "  }",
  "}",
  "for (const name of ['a', 'b', 'c', 'd']) side(`${process.pid}${name}`);",
  "createServer((request, response) => response.end(JSON.stringify({ ...counts, pid: process.pid })))",
  '  .listen(Number(process.env.PORT), "127.0.0.1");',
  "",
].join("\n");

/** Holds one connection and does not expect to lose it. */
const fragile = [
  'import { createRequire } from "node:module";',
  `const pg = ${require}("pg");`,
  "const client = new pg.Client();",
  "await client.connect();",
  'await client.query("select 1");',
  'console.log("connected");',
  "",
].join("\n");

const processes = [
  "  api:",
  "    command: node writer.mjs",
  "    port: api",
  "    health: { path: / }",
  "  fragile:",
  "    command: node fragile.mjs",
  "  idle:",
  "    command: node idle.mjs",
].join("\n");

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project({
    "agent-harness.yml": smallConfig({ processes, settleMs: 300 }),
    "schema.sql": "CREATE TABLE entries (id serial PRIMARY KEY, key text NOT NULL, amount int NOT NULL);\n",
    "writer.mjs": writer,
    "fragile.mjs": fragile,
  });
  await h.ok(repo, "launch", "25");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const counts = async () =>
  (await (await fetch("http://localhost:8250/")).json()) as { written: number; failed: number; pid: number };
const moreWritten = async (than: number, by: number) =>
  await until(`${by} more are written`, async () => (await counts()).written >= than + by);

test("a snapshot under load is of one instant, and the application goes on", async () => {
  await moreWritten(0, 200);
  const before = await h.pids(25);
  const { stdout } = await h.ok(repo, "snapshot", "save", "25", "busy", "--json");
  const { restarted, closedMs, snapshot } = JSON.parse(stdout);
  // The one that cannot live without its connection was started anew; nobody else was touched.
  expect(restarted).toEqual(["fragile"]);
  const after = await h.pids(25);
  expect(after["agent-25-fragile"]).not.toBe(before["agent-25-fragile"]);
  for (const name of ["agent-25-api", "agent-25-idle"]) expect(after[name]).toBe(before[name]);
  expect(await h.ask(repo, "25", "health")).toMatchObject({ healthy: true });
  expect(closedMs).toBeLessThan(5000);
  expect(snapshot.objects).toBeGreaterThanOrEqual(200);
  const now = await counts();
  await moreWritten(now.written, 100);
  // At most what was under way on each of its sides at that moment.
  expect((await counts()).failed).toBeLessThanOrEqual(16);

  await h.ok(repo, "snapshot", "restore", "25", "busy");
  // The application writes on at once; what was restored is what processes of the first launch wrote.
  const mine = `key like '${now.pid}%'`;
  const [sum] = await h.sql(
    "agent_25",
    `select sum(amount)::int as sum, count(*)::int as rows from entries where ${mine}`,
  );
  expect(sum?.["sum"]).toBe(0);
  expect(sum?.["rows"]).toBeGreaterThanOrEqual(400);
  expect(sum?.["rows"]).toBeLessThan(2 * now.written);
  const objects = await objectsIn(openS3Client((await h.infra()).s3), "agent-25");
  const keys = await h.sql("agent_25", `select distinct key from entries where ${mine}`);
  expect(keys.map((row) => String(row["key"])).filter((key) => objects[key] === undefined)).toEqual([]);
});

test("a transaction that goes on for longer than is waited for does not stop a snapshot", async () => {
  const asleep = h.sql("agent_25", "select pg_sleep(60)").catch((error: Error) => error.message);
  await until("it sleeps", async () => {
    const query = "select 1 from pg_stat_activity where query like '%pg_sleep(60)%' and datname = 'agent_25'";
    return (await h.sql("postgres", query)).length > 0;
  });
  await h.ok(repo, "snapshot", "save", "25", "slow");
  expect(await asleep).toBeTruthy();
  expect(await h.ask(repo, "25", "health")).toMatchObject({ healthy: true });
});

test("a teardown under load keeps what was written", async () => {
  const { written, pid } = await counts();
  await h.ok(repo, "teardown", "25");
  await h.ok(repo, "launch", "25");
  await h.ok(repo, "snapshot", "restore", "25", "before-teardown");
  const [row] = await h.sql(
    "agent_25",
    `select count(*)::int as rows, sum(amount)::int as sum from entries where key like '${pid}%'`,
  );
  expect(row?.["rows"]).toBeGreaterThanOrEqual(2 * written);
  expect(row?.["sum"]).toBe(0);
});
