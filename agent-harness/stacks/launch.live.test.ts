import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "dotenv";
import { afterAll, beforeAll, expect, test } from "vitest";
import { git, openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { sendMail } from "../testing/smtp.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  process.env["LEAKY_TOKEN"] = "of-the-shell";
  h = await openSmall();
  repo = await h.project({ "agent-harness.yml": smallConfig({ env: odd }) });
  await h.ok(repo, "launch", "60");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

/** Values that shells, dotenv and Handlebars like to eat. */
const odd = [
  String.raw`  QUOTES: "it's \"quoted\" here"`,
  "  BLANKS: '  two  blanks  '",
  "  DOLLAR: '$HOME ${PATH} $(id) $$'",
  "  BACKTICKS: 'PATH: `${venvBinPath}:/bin`'",
  String.raw`  LINES: "first\nsecond 'third'\n"`,
  "  HASH: 'a # b'",
  "  ESCAPES: 'a\\nb\\\\c'",
  "  UNICODE: 'grüße 👋'",
  "  EMPTY: ''",
  "  FILLED: 'port {{ports.api}} of {{id}}'",
].join("\n");

const oddValues = {
  QUOTES: `it's "quoted" here`,
  BLANKS: "  two  blanks  ",
  DOLLAR: "$HOME ${PATH} $(id) $$",
  BACKTICKS: "PATH: `${venvBinPath}:/bin`",
  LINES: "first\nsecond 'third'\n",
  HASH: "a # b",
  ESCAPES: "a\\nb\\\\c",
  UNICODE: "grüße 👋",
  EMPTY: "",
  FILLED: "port 8600 of 60",
};

const seenEnv = async (id: number): Promise<Record<string, string>> =>
  (await (await fetch(`http://localhost:${8000 + id * 10}/env`)).json()) as Record<string, string>;

test("a value arrives in the running process and in the env file exactly as the config has it", async () => {
  const seen = await seenEnv(60);
  expect(seen).toMatchObject(oddValues);
  const file = parse(await readFile(join(repo, ".env.agent.60"), "utf8"));
  expect(file).toMatchObject(oddValues);
  for (const [key, value] of Object.entries(file)) expect(seen[key], key).toBe(value);
  expect(await h.ask(repo, "60", "env")).toEqual(file);
});

test("nothing of the shell's environment gets into a process", async () => {
  const seen = await seenEnv(60);
  expect(seen["LEAKY_TOKEN"]).toBeUndefined();
  const file = parse(await readFile(join(repo, ".env.agent.60"), "utf8"));
  const machine = ["HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "PATH", "AGENT_HARNESS_MARK"];
  // PM2 puts its own settings into each process besides; of the shell's names none may be among them.
  const shell = Object.keys(process.env).filter((key) => !key.startsWith("PM2_") && !machine.includes(key));
  expect(shell.filter((key) => !Object.hasOwn(file, key) && Object.hasOwn(seen, key))).toEqual([]);
});

test("the seed's variables are there, and those of the outside services are off", async () => {
  const seen = await seenEnv(60);
  expect(seen).toMatchObject({
    AGENT_ID: "60",
    PORT: "8600",
    PGDATABASE: "agent_60",
    S3_BUCKET: "agent-60",
    EMAIL_SMTP_SENDER_EMAIL: "agent-60@agent-harness.test",
    SCHEDULER_ENABLED: "false",
    RUDDERSTACK_ANALYTICS_DISABLED: "true",
  });
});

test("the rendered files are the owner's alone, and git does not see them", async () => {
  const rendered = (await readdir(repo)).filter((name) => name.includes("agent.60"));
  expect(rendered.sort()).toEqual([".env.agent.60", "CLAUDE.agent.60.md", "ecosystem.agent.60.config.cjs"]);
  for (const name of rendered) expect((await stat(join(repo, name))).mode & 0o777, name).toBe(0o600);
  expect(await git(repo, "status", "--porcelain")).toBe("");
  const exclude = await readFile(join(repo, ".git", "info", "exclude"), "utf8");
  for (const pattern of [".env.agent.*", "ecosystem.agent.*.config.cjs*", "CLAUDE.agent.*.md*"]) {
    expect(exclude.split("\n").filter((line) => line === pattern)).toHaveLength(1);
  }
});

test("the instructions tell the agent what is its own and how to work", async () => {
  const text = await readFile(join(repo, "CLAUDE.agent.60.md"), "utf8");
  const { postgres, s3, mail } = await h.infra();
  const facts = ["agent 60 of small", repo, "http://localhost:8600", "agent_60", "agent-60", postgres.password];
  const access = [s3.accessKey, s3.secretKey, mail.webUrl, "agent-60@agent-harness.test", ".env.agent.60"];
  const rules = [
    "always use agent-cli",
    "agent-cli 60 logs",
    "verify 60 --full",
    "## Done means",
    "## Do not",
    "sleeper",
  ];
  for (const part of [...facts, ...access, ...rules]) expect(text).toContain(part);
});

test("ledger and registry hold no secret", async () => {
  const { postgres, s3 } = await h.infra();
  const records = [
    await readFile(join(h.paths.stacks, "60", "ledger.json"), "utf8"),
    await readFile(h.paths.registry, "utf8"),
  ];
  for (const secret of [postgres.password, s3.secretKey, s3.accessKey, "agent-60-secret"]) {
    for (const text of records) expect(text).not.toContain(secret);
  }
});

test("agent-cli shows the stack: status, health, url, stats", async () => {
  expect(await h.ask(repo, "60", "status")).toMatchObject({
    id: 60,
    status: "ready",
    processes: [
      { process: "api", status: "online", healthy: true, port: 8600, restarts: 0 },
      { process: "idle", status: "online", healthy: true },
    ],
  });
  expect(await h.ask(repo, "60", "health")).toMatchObject({ healthy: true });
  expect(await h.ask(repo, "60", "url")).toEqual({ api: "http://localhost:8600" });
  const stats = (await h.ask(repo, "60", "stats")) as { process: string; count: number; memoryBytes: number }[];
  expect(stats.map((one) => one.process)).toEqual(["api", "idle"]);
  for (const one of stats) expect(one.memoryBytes).toBeGreaterThan(10 * 1024 * 1024);
  for (const words of ["status", "health", "url", "stats"]) {
    const { exitCode, stdout } = await h.agent(repo, "60", words);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("api");
  }
});

test("agent-cli works on the database: psql, slow-queries of this database only", async () => {
  const { rows } = (await h.ask(repo, "60", "psql", "select text, current_database() as db from notes")) as {
    rows: unknown[];
  };
  expect(rows).toEqual([{ text: "seed", db: "agent_60" }]);
  expect((await h.agent(repo, "60", "psql", "select text from notes")).stdout).toBe("text\nseed\n");
  await h.sql("postgres", "select 'of another database', pg_sleep(0.05)");
  const slow = (await h.ask(repo, "60", "slow-queries")) as { query: string }[];
  expect(slow.some((one) => one.query.includes("from notes"))).toBe(true);
  expect(slow.some((one) => one.query.includes("pg_sleep"))).toBe(false);
  const wrong = await h.agent(repo, "60", "psql", "select * from nowhere", "--json");
  expect(wrong.exitCode).not.toBe(0);
  expect(wrong.stdout).toContain("nowhere");
});

test("agent-cli reads logs by name and alias, and names the processes when it knows none", async () => {
  expect(await h.ask(repo, "60", "logs", "sleeper")).toMatchObject([
    { process: "idle", line: "idling", stream: "out" },
  ]);
  expect((await h.agent(repo, "60", "logs")).stdout).toContain("idle  idling");
  const { exitCode, stdout } = await h.agent(repo, "60", "logs", "nobody", "--json");
  expect(exitCode).toBe(2);
  const { error } = JSON.parse(stdout) as { error: { code: string; hint: string } };
  expect(error).toMatchObject({ code: "PROCESS_UNKNOWN", hint: "Processes: api, idle, sleeper." });
});

test("agent-cli restarts one process and leaves the other", async () => {
  const before = await h.pids(60);
  expect(await h.ask(repo, "60", "restart", "api")).toEqual(["api"]);
  const after = await h.pids(60);
  expect(after["agent-60-api"]).not.toBe(before["agent-60-api"]);
  expect(after["agent-60-idle"]).toBe(before["agent-60-idle"]);
  expect(await seenEnv(60)).toMatchObject(oddValues);
});

test("agent-cli exec runs with the stack's environment in its folder; its exit code is ours", async () => {
  const script =
    "require('fs').writeFileSync('seen.json', JSON.stringify([process.cwd(), process.env])); process.exit(7)";
  expect((await h.agent(repo, "60", "exec", "node", "-e", script)).exitCode).toBe(7);
  const [cwd, env] = JSON.parse(await readFile(join(repo, "seen.json"), "utf8")) as [string, Record<string, string>];
  expect(cwd).toBe(repo);
  expect(env).toMatchObject(oddValues);
  expect(env["LEAKY_TOKEN"]).toBeUndefined();
});

test("agent-cli shows the mails of this stack only", async () => {
  const { mail } = await h.infra();
  for (const id of [60, 61]) {
    const text = { subject: `of ${id}`, text: `body of ${id}` };
    await sendMail(mail.smtpPort, { from: `agent-${id}@agent-harness.test`, to: ["you@example.test"], ...text });
  }
  const mails = (await h.ask(repo, "60", "mail")) as { id: string; subject: string }[];
  expect(mails.map((one) => one.subject)).toEqual(["of 60"]);
  expect(await h.ask(repo, "60", "mail", mails[0]?.id ?? "")).toMatchObject({ subject: "of 60" });
});

test("launching again is quick and restarts nothing", async () => {
  const before = await h.pids(60);
  const start = performance.now();
  await h.ok(repo, "launch", "60");
  expect(performance.now() - start).toBeLessThan(3000);
  expect(await h.pids(60)).toEqual(before);
});

test("a process that died is started again by the next launch, with its env", async () => {
  const before = await h.pids(60);
  process.kill(before["agent-60-idle"] ?? 0, "SIGKILL");
  await h.ok(repo, "launch", "60");
  expect((await h.pids(60))["agent-60-api"]).toBe(before["agent-60-api"]);
  expect(await seenEnv(60)).toMatchObject(oddValues);
  expect(await h.ask(repo, "60", "health")).toMatchObject({ healthy: true });
});

test("a changed config restarts exactly this stack's processes, with the new values", async () => {
  const other = await h.project({ "agent-harness.yml": smallConfig().replace("name: small", "name: other") });
  await h.ok(other, "launch", "61");
  const [before, others] = [await h.pids(60), await h.pids(61)];
  await writeFile(join(repo, "agent-harness.yml"), smallConfig({ env: `${odd}\n  ADDED: new` }));
  await h.ok(repo, "launch", "60");
  expect((await seenEnv(60))["ADDED"]).toBe("new");
  const after = await h.pids(60);
  for (const name of Object.keys(before)) expect(after[name]).not.toBe(before[name]);
  expect(await h.pids(61)).toEqual(others);
  await h.ok(repo, "launch", "60", "--env", "ADDED=by hand", "WITH=a = b");
  expect(await seenEnv(60)).toMatchObject({ ADDED: "by hand", WITH: "a = b" });
  await h.ok(repo, "launch", "60");
  expect((await seenEnv(60))["ADDED"]).toBe("new");
  expect(await h.sql("agent_60", "select count(*)::int as n from notes")).toEqual([{ n: 1 }]);
});
