import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { homePaths, stackFolder } from "../shared/paths.ts";
import { emptyLedger } from "../stacks/empty-ledger.ts";
import { writeLedger } from "../stacks/ledger.ts";
import { claimId } from "../stacks/registry.ts";
import { runAgentCli, runHarness } from "./index.ts";

/* The commands on logs that are there, without processes that write them. */

let home: string;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-logs-cli-"));
  home = join(folder, "home");
  await stack(1, { api: record("one\n", 60) + record("two\n", 30, "err"), worker: record("works\n", 45) });
  await stack(2, { api: `from an earlier version\n${record("three\n", 20)}` });
});
afterAll(() => rm(folder, { recursive: true }));

/** A piece of output as PM2 writes it, so many minutes ago. */
const record = (message: string, minutes: number, type = "out"): string =>
  `${JSON.stringify({ message, timestamp: new Date(Date.now() - minutes * 60_000).toISOString(), type, process_id: 0, app_name: "a" })}\n`;

async function stack(id: number, logs: Record<string, string>): Promise<void> {
  const paths = homePaths(home);
  const facts = {
    id,
    project: "p",
    repository: folder,
    workdir: folder,
    configPath: join(folder, "agent-harness.yml"),
  };
  const logFolder = join(stackFolder(id, home), "logs");
  await mkdir(logFolder, { recursive: true });
  const processes = Object.keys(logs).map((process) => {
    const aliases = process === "api" ? ["backend"] : [];
    return { process, name: `agent-${id}-${process}`, aliases, logFile: join(logFolder, `${process}.log`) };
  });
  for (const [process, text] of Object.entries(logs)) await writeFile(join(logFolder, `${process}.log`), text);
  await writeLedger(paths, { ...emptyLedger(facts), processes });
  // Another folder for each, as an id is one working directory's.
  await claimId(paths, { ...facts, workdir: folder });
}

async function run(program: typeof runHarness, argv: string[], options: { interactive?: boolean; env?: object } = {}) {
  const printed = { stdout: "", stderr: "" };
  const exitCode = await program(argv, {
    cwd: folder,
    env: { PATH: process.env["PATH"], AGENT_HARNESS_HOME: home, ...options.env },
    interactive: options.interactive ?? false,
    live: false,
    stdout: (text) => (printed.stdout += text),
    stderr: (text) => (printed.stderr += text),
  });
  return { exitCode, ...printed };
}
const logs = async (...argv: string[]) => (await run(runHarness, ["logs", ...argv])).stdout;

test("all agents together, in the order of time, with who says what", async () => {
  expect(await run(runHarness, ["logs"])).toEqual({
    exitCode: 0,
    stderr: "",
    stdout: [
      "agent-2 api    | from an earlier version\n",
      "agent-1 api    | one\n",
      "agent-1 worker | works\n",
      "agent-1 api    | two\n",
      "agent-2 api    | three\n",
    ].join(""),
  });
});

test("some agents, one process, the last lines", async () => {
  expect(await logs("1")).toContain("agent-1 worker | works\n");
  expect(await logs("1")).not.toContain("agent-2");
  expect(await logs("worker")).toBe("agent-1 worker | works\n");
  expect(await logs("2", "backend", "--lines", "1")).toBe("agent-2 api | three\n");
  expect(await logs("api", "1", "2", "--lines", "1")).toBe("agent-1 api | two\nagent-2 api | three\n");
});

test("since then; lines that cannot be placed are named on stderr, not shown", async () => {
  expect(await logs("1", "--since", "50m")).toBe("agent-1 worker | works\nagent-1 api    | two\n");
  expect(await logs("1", "--since", "50m", "--lines", "0")).toBe("");
  const { stdout, stderr } = await run(runHarness, ["logs", "2", "--since", "1h"]);
  expect(stdout).toBe("agent-2 api | three\n");
  expect(stderr).toBe(
    "agent 2 api: 1 line carries no time and may be newer, but cannot be placed; see them without --since\n",
  );
  const own = await run(runAgentCli, ["1", "logs", "--since", "40m"]);
  expect([own.exitCode, own.stdout]).toEqual([0, "api  two\n"]);
});

test("as JSON: who, when, on which stream", async () => {
  expect(JSON.parse(await logs("api", "--json"))).toEqual([
    { agent: 2, process: "api", line: "from an earlier version" },
    { agent: 1, process: "api", line: "one", stream: "out", time: expect.stringMatching(/Z$/) },
    { agent: 1, process: "api", line: "two", stream: "err", time: expect.stringMatching(/Z$/) },
    { agent: 2, process: "api", line: "three", stream: "out", time: expect.stringMatching(/Z$/) },
  ]);
});

test("each agent has its colour on a terminal, and none where colours are not wanted", async () => {
  const { stdout } = await run(runHarness, ["logs", "api"], { interactive: true });
  const colours = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => line.slice(0, line.indexOf(" ")));
  expect(colours).toHaveLength(4);
  expect([...new Set(colours)].sort()).toEqual(["\x1b[32magent-2", "\x1b[33magent-1"]);
  expect((await run(runHarness, ["logs"], { interactive: true, env: { NO_COLOR: "1" } })).stdout).not.toContain("\x1b");
});

describe("refused", () => {
  test.each([
    [["logs", "api", "worker"], 2, "logs shows all processes or one, not api and worker."],
    [["logs", "0"], 2, "An agent id is a whole number from 1 to 99"],
    [["logs", "7"], 4, "There is no stack of agent 7."],
    [["logs", "nobody"], 2, 'Agent 1 has no process "nobody".'],
    [["logs", "--since", "yesterday"], 2, "--since wants a length of time or a time"],
    [["logs", "--lines", "many"], 2, "--lines wants a whole number"],
  ])("%j", async (argv, exitCode, message) => {
    expect(await run(runHarness, argv)).toMatchObject({
      exitCode,
      stdout: "",
      stderr: expect.stringContaining(message),
    });
  });
});

test("without any stack nothing is shown, and the next command is named", async () => {
  const env = { AGENT_HARNESS_HOME: join(folder, "empty") };
  const { exitCode, stdout, stderr } = await run(runHarness, ["logs"], { env });
  expect([exitCode, stdout]).toEqual([0, ""]);
  expect(stderr).toContain("agent-harness launch 1");
  expect(JSON.parse((await run(runHarness, ["logs", "--json"], { env })).stdout)).toEqual([]);
});
