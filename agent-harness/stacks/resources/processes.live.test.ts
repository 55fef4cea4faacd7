import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { daemonAnswers } from "../../shared/process-daemon.ts";
import { isAlive } from "../../shared/process-tree.ts";
import { openProcesses } from "../../shared/processes.ts";
import { openSmall, type SmallHarness, smallConfig } from "../../testing/small.ts";
import { until } from "../../testing/until.ts";
import { readApps } from "../process-file.ts";

let h: SmallHarness;
let repo: string;

beforeAll(async () => {
  h = await openSmall();
  repo = await h.project();
  await h.ok(repo, "setup");
});
afterAll(async () => await h?.[Symbol.asyncDispose]());

const configure = (text: string): Promise<void> => writeFile(join(repo, "agent-harness.yml"), text);

/** What answers on the port of the small project's API. */
const answering = async (id: number): Promise<{ pid: number }> =>
  (await (await fetch(`http://localhost:${8000 + id * 10}/`)).json()) as { pid: number };

/** Kills the PM2 daemon of this harness so that it can stop nothing of what it runs. */
async function killDaemon(): Promise<void> {
  const pid = Number(await readFile(join(h.paths.pm2, "pm2.pid"), "utf8"));
  process.kill(pid, "SIGKILL");
  await until("it is gone", async () => !(await daemonAnswers(h.paths.pm2)));
}

/** Sets variables of the shell that launches. */
async function withShell(variables: Record<string, string>, run: () => Promise<void>): Promise<void> {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  try {
    await run();
  } finally {
    for (const key of Object.keys(variables)) delete process.env[key];
    for (const key of Object.keys(variables)) if (before[key] !== undefined) process.env[key] = before[key];
  }
}

test("a launch from another shell leaves what runs as it is; a variable of the stack's own does not", async () => {
  await h.ok(repo, "launch", "70");
  const before = await h.pids(70);
  const path = `/somewhere/node_modules/.bin:/opt/new/bin:${process.env["PATH"]}`;
  await withShell({ PATH: path, TZ: "Asia/Tokyo", LANG: "C", TMPDIR: "/var/tmp" }, async () => {
    await h.ok(repo, "launch", "70");
  });
  expect(await h.pids(70)).toEqual(before);
  await h.ok(repo, "launch", "70", "--env", "TZ=Asia/Tokyo");
  const after = await h.pids(70);
  for (const [name, pid] of Object.entries(before)) expect(after[name], name).not.toBe(pid);
  await h.ok(repo, "teardown", "70");
});

test("files of somebody else's stop the launch, and neither it nor the teardown touches them", async () => {
  await writeFile(join(repo, "CLAUDE.agent.72.md"), "# mine\n");
  const error = await h.refused(repo, "launch", "72");
  expect(error).toMatchObject({
    exitCode: 5,
    code: "NAME_FOREIGN",
    message: expect.stringContaining("CLAUDE.agent.72"),
  });
  await h.ok(repo, "teardown", "72");
  expect(await readFile(join(repo, "CLAUDE.agent.72.md"), "utf8")).toBe("# mine\n");
  expect(await h.left(72)).toEqual(["CLAUDE.agent.72.md"]);
});

test("a stray of ours on the port of a process that runs is stopped, and the process started anew", async () => {
  const deaf = [
    'import { createServer } from "node:http";',
    "createServer((q, r) => r.end(JSON.stringify({ pid: process.pid })))",
    '  .on("error", () => setInterval(() => 0, 1000))',
    '  .listen(Number(process.env.PORT), "127.0.0.1");',
  ].join("\n");
  await writeFile(join(repo, "deaf.mjs"), deaf);
  const processes = "  api:\n    command: node deaf.mjs\n    port: api\n    health: { path: /, timeoutMs: 5000 }";
  await configure(smallConfig({ processes }));
  await h.ok(repo, "launch", "71");
  const stray = await answering(71);
  await killDaemon();
  await using pm2 = await openProcesses(h.paths.pm2);
  await pm2.start(await readApps({ id: 71, workdir: repo }));
  expect(await answering(71)).toEqual(stray);
  await h.ok(repo, "launch", "71");
  expect(Object.values(await h.pids(71))).toEqual([(await answering(71)).pid]);
  await h.ok(repo, "teardown", "71");
  expect(await h.left(71)).toEqual([]);
});

test("what a killed PM2 daemon left running is replaced when the config has changed", async () => {
  await configure(smallConfig());
  await h.ok(repo, "launch", "71");
  const stray = await answering(71);
  await killDaemon();
  expect(isAlive(stray.pid)).toBe(true);
  await configure(smallConfig({ env: "  CHANGED: yes" }));
  await h.ok(repo, "launch", "71");
  const now = await answering(71);
  expect((await h.pids(71))["agent-71-api"]).toBe(now.pid);
  expect(now.pid).not.toBe(stray.pid);
  await h.ok(repo, "teardown", "71");
  expect(await h.left(71)).toEqual([]);
});
