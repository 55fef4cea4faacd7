import { mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sampleInfra } from "../testing/values.ts";
import { planStack } from "./plan.ts";
import { openProject } from "./project.ts";

let folder: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-plan-")));
});
afterEach(async () => await rm(folder, { recursive: true }));

async function plan(config: string, extraEnv: Record<string, string> = {}) {
  await writeFile(join(folder, "agent-harness.yml"), config);
  const project = await openProject({ cwd: folder, env: { AGENT_HARNESS_HOME: join(folder, "home") } });
  return await planStack({ project, infra: sampleInfra, id: 3, extraEnv });
}

const refusal = async (config: string, extraEnv?: Record<string, string>) =>
  await plan(config, extraEnv).then(
    () => undefined,
    (error: unknown) => error,
  );

test("a process gets its words, folder, port, health, log and environment, and the stack's mark", async () => {
  const { processes } = await plan(`
ports: { api: 8000 }
env: { WHO: "two words" }
processes:
  api:
    command: node serve.js --name "{{env.WHO}}" '{{urls.api}}'
    port: api
    health: { path: /health }
    env: { EXTRA: "{{env.WHO}}!", SCHEDULER_ENABLED: null }
    aliases: [backend]
`);
  const [api] = processes;
  expect(api).toMatchObject({
    name: "api",
    aliases: ["backend"],
    port: 8030,
    health: { url: "http://localhost:8030/health", timeoutMs: 60_000 },
    spec: {
      name: "agent-3-api",
      script: process.execPath,
      args: ["serve.js", "--name", "two words", "http://localhost:8030"],
      cwd: folder,
      logFile: join(folder, "home", "stacks", "3", "logs", "api.log"),
      env: { EXTRA: "two words!", PGDATABASE: "agent_3", AGENT_HARNESS_MARK: "m-test/agent-3" },
    },
  });
  expect(api?.spec.env).not.toHaveProperty("SCHEDULER_ENABLED");
});

test("enabledBy looks at the stack's own variables, and a process waits only for those that run", async () => {
  const config = `
processes:
  api: { command: node a.js, dependsOn: [worker] }
  worker: { command: node w.js, enabledBy: WORK }
`;
  const off = await plan(config);
  expect(off.processes.map((one) => [one.name, one.dependsOn])).toEqual([["api", []]]);
  const on = await plan(config, { WORK: "true" });
  expect(on.processes.map((one) => [one.name, one.dependsOn])).toEqual([
    ["api", ["worker"]],
    ["worker", []],
  ]);
});

test("after-clone steps are filled in for this agent", async () => {
  const { afterClone } = await plan(`
database:
  afterClone:
    - sql: UPDATE t SET name = '{{database.name}}'
    - { run: 'node fix.js "{{env.LIGHTDASH_SECRET}}"', cwd: . }
`);
  expect(afterClone).toEqual([
    { type: "sql", sql: "UPDATE t SET name = 'agent_3'" },
    {
      type: "run",
      label: 'node fix.js "{{env.LIGHTDASH_SECRET}}"',
      argv: ["node", "fix.js", "agent-3-secret"],
      cwd: folder,
    },
  ]);
});

test.each([
  ["a missing program", "processes: { api: { command: no-such-program } }", "EXECUTABLE_NOT_FOUND", "processes.api"],
  ["an unknown name in env", "env: { A: '{{nope}}' }", "TEMPLATE_INVALID", "env.A"],
  [
    "an unknown name in a command",
    "processes: { api: { command: 'node {{nope}}' } }",
    "TEMPLATE_INVALID",
    "processes.api.command",
  ],
  [
    "an unknown name in a step",
    "database: { afterClone: [{ sql: 'SELECT {{nope}}' }] }",
    "TEMPLATE_INVALID",
    "database.afterClone.0",
  ],
  ["a value that no file carries", `env: { NASTY: "a'b\\"c\`d\\ne" }`, "ENV_VALUE_UNSUPPORTED", "NASTY"],
])("%s is refused with its place, and nothing is made", async (_, config, code, place) => {
  expect(await refusal(config)).toMatchObject({ code, message: expect.stringContaining(place) });
  expect(await readdir(folder)).toEqual(["agent-harness.yml"]);
});
