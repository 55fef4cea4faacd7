import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findText } from "../shared/files.ts";
import { build, startDoing } from "../testing/crash.ts";
import { openSmall, type SmallHarness, smallConfig } from "../testing/small.ts";
import { until } from "../testing/until.ts";
import { releaseId } from "./registry.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  await build();
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const configure = (text: string): Promise<void> => writeFile(join(repo, "agent-harness.yml"), text);
const fast = "health: { path: /health, timeoutMs: 700 }";

test("two launches of one id at the same time: one waits for the other's pid, both succeed, one set of processes", async () => {
  // The first one stays in its after-clone step, with the lock, until the second one is seen to wait for it.
  await writeFile(
    join(repo, "wait.mjs"),
    'import { existsSync } from "node:fs"; while (!existsSync("go")) await new Promise((r) => setTimeout(r, 20));\n',
  );
  await configure(smallConfig({ afterClone: "    - run: node wait.mjs" }));
  const first = startDoing(h, { verb: "launch", repo, id: 74 });
  await until("the first one is in its after-clone step", () =>
    first.stdout().includes('{"type":"start","step":"after-clone"}'),
  );
  const second = startDoing(h, { verb: "launch", repo, id: 74 });
  await until("the second one waits", () => second.stdout().includes("Waiting for pid"));
  await writeFile(join(repo, "go"), "");
  const ended = await Promise.all([first.ended, second.ended]);
  for (const one of ended) expect(one.code, one.stderr).toBe(0);
  const waited = ended.filter((one) => one.stdout.includes("Waiting for pid"));
  expect(waited).toHaveLength(1);
  const holder = ended.find((one) => one !== waited[0]);
  expect(waited[0]?.stdout).toContain(`Waiting for pid ${holder?.pid}`);
  expect(Object.keys(await h.pids(74)).sort()).toEqual(["agent-74-api", "agent-74-idle"]);
  expect((await h.left(74)).filter((one) => one.includes("node server.mjs"))).toHaveLength(2); // the process, the listener
  await configure(smallConfig());
  await h.ok(repo, "teardown", "74");
  expect(await h.left(74)).toEqual([]);
});

test("an id of another repository is refused with its holder and a free id; the holder's stack stays whole", async () => {
  await h.ok(repo, "launch", "74");
  const before = await h.ledger(74);
  const other = await h.project({ "agent-harness.yml": smallConfig().replace("name: small", "name: other") });
  const error = await h.refused(other, "launch", "74");
  expect(error).toMatchObject({ exitCode: 5, code: "AGENT_ID_TAKEN", hint: expect.stringContaining("launch 1. ") });
  expect(error.message).toContain(repo);
  expect(await h.ledger(74)).toEqual(before);
  await h.ok(repo, "teardown", "74");
  expect(await h.left(74)).toEqual([]);
});

test("a reset of another repository's stack is refused and takes nothing of it", async () => {
  await h.ok(repo, "launch", "74");
  await h.sql("agent_74", "insert into notes (text) values ('precious')");
  const [ledger, pids] = [await h.ledger(74), await h.pids(74)];
  const other = await h.project({ "agent-harness.yml": smallConfig().replace("name: small", "name: other") });
  const error = await h.refused(other, "reset", "74");
  expect(error).toMatchObject({ exitCode: 5, code: "AGENT_ID_TAKEN", message: expect.stringContaining(repo) });
  expect(await h.ledger(74)).toEqual(ledger);
  expect(await h.pids(74)).toEqual(pids);
  expect(await h.sql("agent_74", "select text from notes order by id")).toEqual([
    { text: "seed" },
    { text: "precious" },
  ]);
  // Also where only the ledger knows whose it is.
  await releaseId(h.paths, 74);
  expect(await h.refused(other, "reset", "74")).toMatchObject({ code: "AGENT_ID_TAKEN" });
  expect(await h.refused(other, "launch", "74")).toMatchObject({ code: "AGENT_ID_TAKEN" });
  expect(await h.pids(74)).toEqual(pids);
  await h.ok(repo, "teardown", "74");
  expect(await h.left(74)).toEqual([]);
});

test("a port that somebody else has is named with pid and command, and nothing is left behind", async () => {
  const script =
    'require("http").createServer((q, r) => r.end()).listen(8750, "127.0.0.1", () => console.log("listening"))';
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(child.stdout, "data");
    const error = await h.refused(repo, "launch", "75");
    expect(error).toMatchObject({ exitCode: 5, code: "PORT_TAKEN" });
    expect(error.message).toMatch(new RegExp(`Port 8750 .*pid ${child.pid} \\(.*createServer`));
    expect(await h.left(75)).toEqual([expect.stringContaining("a listener")]);
  } finally {
    child.kill("SIGKILL");
    await once(child, "close");
  }
});

test("a process that ends at once fails the launch with its last lines; a mended one goes on", async () => {
  await writeFile(join(repo, "crash.mjs"), 'console.log("about to"); console.error("no such thing"); process.exit(3);');
  await configure(smallConfig({ processes: `  api:\n    command: node crash.mjs\n    port: api\n    ${fast}` }));
  const error = await h.refused(repo, "launch", "76");
  expect(error).toMatchObject({ exitCode: 1, code: "HEALTH_FAILED" });
  expect(error.message).toContain("agent-76-api");
  expect(error.message).toContain("no such thing");
  expect(error.leftBehind).toContain("for inspection");
  expect((await h.ledger(76)).status).toBe("failed");
  expect((await h.agent(repo, "76", "health")).exitCode).toBe(1);
  await configure(smallConfig());
  await h.ok(repo, "launch", "76");
  await h.ok(repo, "teardown", "76");
  expect(await h.left(76)).toEqual([]);
});

test("a process without a health check that dies inside the settle window fails the launch", async () => {
  await writeFile(join(repo, "brief.mjs"), 'setTimeout(() => { console.log("gave up"); process.exit(0); }, 300);');
  await configure(smallConfig({ processes: "  brief:\n    command: node brief.mjs", settleMs: 5000 }));
  const error = await h.refused(repo, "launch", "76");
  expect(error).toMatchObject({ exitCode: 1, code: "HEALTH_FAILED" });
  expect(error.message).toContain("gave up");
  await h.ok(repo, "teardown", "76");
});

test("a process that never answers, or answers badly, fails the launch at its time limit and says what it said", async () => {
  await writeFile(join(repo, "mute.mjs"), 'console.log("I listen to nobody"); setInterval(() => 0, 1000);');
  await configure(smallConfig({ processes: `  api:\n    command: node mute.mjs\n    port: api\n    ${fast}` }));
  const mute = await h.refused(repo, "launch", "76");
  expect(mute).toMatchObject({ exitCode: 1, code: "HEALTH_FAILED" });
  expect(mute.message).toMatch(/does not answer.*\n.*I listen to nobody/s);
  expect(mute.stderr).not.toMatch(/is ready/);
  const bad =
    'import { createServer } from "node:http"; createServer((q, r) => r.writeHead(503).end("no database")).listen(Number(process.env.PORT), "127.0.0.1");';
  await writeFile(join(repo, "mute.mjs"), bad);
  await h.ok(repo, "teardown", "76");
  const unwell = await h.refused(repo, "launch", "76");
  expect(unwell.message).toContain("answered 503: no database");
  await h.ok(repo, "teardown", "76");
  expect(await h.left(76)).toEqual([]);
});

test("an answer of a foreign listener is not health", async () => {
  await writeFile(
    join(repo, "mute.mjs"),
    'import { writeFileSync } from "node:fs"; writeFileSync("up", ""); setInterval(() => 0, 1000);',
  );
  await configure(
    smallConfig({ processes: `  api:\n    command: node mute.mjs\n    port: api\n    ${fast.replace("700", "4000")}` }),
  );
  const server = createServer((_, response) => response.end("well!"));
  const refused = h.refused(repo, "launch", "77");
  // Taken after the launch has looked whether the port is free.
  await until("the process runs", async () => (await findText(join(repo, "up"))) !== undefined);
  server.listen(8770, "127.0.0.1");
  await once(server, "listening");
  try {
    const error = await refused;
    expect(error).toMatchObject({ exitCode: 1, code: "HEALTH_FAILED" });
    expect(error.message).toContain("answered by a process of somebody else");
  } finally {
    server.close();
  }
  await h.ok(repo, "teardown", "77");
});

test("a failing after-clone names its cause and starts no process; mended, the launch goes on", async () => {
  await configure(smallConfig({ afterClone: "    - sql: INSERT INTO nowhere VALUES (1)" }));
  const sql = await h.refused(repo, "launch", "78");
  expect(sql).toMatchObject({ exitCode: 1, code: "AFTER_CLONE_FAILED" });
  expect(sql.message).toContain("nowhere");
  expect(await h.pids(78)).toEqual({});
  await configure(
    smallConfig({ afterClone: `    - run: [node, -e, 'console.error("cannot: it''s off"); process.exit(4)']` }),
  );
  const command = await h.refused(repo, "launch", "78");
  expect(command).toMatchObject({ exitCode: 1, code: "AFTER_CLONE_FAILED" });
  expect(command.message).toMatch(/exited with 4.*\n.*cannot: it's off/s);
  await configure(smallConfig({ afterClone: "    - sql: INSERT INTO notes (text) VALUES (current_database())" }));
  await h.ok(repo, "launch", "78");
  const rows = [{ text: "seed" }, { text: "agent_78" }];
  expect(await h.sql("agent_78", "select text from notes order by id")).toEqual(rows);
  await h.ok(repo, "launch", "79");
  expect(await h.sql("agent_79", "select text from notes order by id")).toEqual([rows[0], { text: "agent_79" }]);
});

test("rows of one agent are in no other agent's database", async () => {
  await h.sql("agent_78", "insert into notes (text) values ('only of 78')");
  expect(await h.sql("agent_79", "select 1 from notes where text like 'only%'")).toEqual([]);
  await h.ok(repo, "teardown", "79");
  expect(await h.ask(repo, "78", "health")).toMatchObject({ healthy: true });
});
