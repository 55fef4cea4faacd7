import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type ApiDouble, asked, openApiDouble } from "../testing/api-double.ts";
import { build } from "../testing/crash.ts";
import { type DispatchProgram, startDispatch } from "../testing/dispatch-program.ts";

/* The real program against the double: what only a process of its own can show. */

beforeAll(build);

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-dispatch-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** Starts the command; without a text for it, its stdin stays open. */
const start = (api: ApiDouble, argv: readonly string[], stdin: string | null = ""): DispatchProgram =>
  startDispatch({ api, home, argv, stdin });

const openWorking = (onAbort = true): Promise<ApiDouble> =>
  openApiDouble({
    onCreate: ({ id }, double) => double.set(id, "processing"),
    onAbort: ({ id }, double) => onAbort && double.finish(id, "Half of it."),
  });

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends the agents' turns; the document is printed all the same", async (signal, code) => {
  await using api = await openWorking();
  const { child, ended } = start(api, ["--task", "Say hello.", "--parallel", "2"]);
  await asked(api, /GET .*codex-r1-\d$/, 2);
  child.kill(signal);
  const { exitCode, report } = await ended;
  expect(exitCode).toBe(code);
  expect(report.completion).toEqual({ mode: "all", met: false, reason: "interrupted" });
  expect(report.agents.map(({ id, outcome, deleted }) => [id, outcome, deleted])).toEqual([
    ["codex-r1-1", "aborted", false],
    ["codex-r1-2", "aborted", false],
  ]);
  expect(report.messages.map(({ text: said }) => said)).toEqual(["Half of it.", "Half of it."]);
  expect(api.agents.size).toBe(2);
});

test("SIGINT while the task is still being read has a document too", async () => {
  await using api = await openWorking();
  const { child, ended } = start(api, ["--task", "-"], null);
  if (child.stderr === null) throw new Error("no stderr");
  for await (const line of createInterface({ input: child.stderr })) if (line.includes("from stdin")) break;
  child.kill("SIGINT");
  const { exitCode, report } = await ended;
  expect(exitCode).toBe(130);
  expect(report).toMatchObject({ project: null, agents: [], completion: { met: false, reason: "interrupted" } });
  expect(api.requests).toEqual([]);
});

test("the second SIGINT waits for nothing", async () => {
  await using api = await openWorking(false);
  const { child, ended } = start(api, ["--task", "Say hello.", "--idle-grace", "10m"]);
  await asked(api, /GET .*codex-r1-1$/);
  child.kill("SIGINT");
  await asked(api, /abort/);
  child.kill("SIGINT");
  const { exitCode, report } = await ended;
  expect(exitCode).toBe(130);
  expect(report.agents).toMatchObject([{ id: "codex-r1-1", finalStatus: "processing", outcome: null }]);
});

test("a long task comes in on stdin, and a long answer goes out whole", async () => {
  const [task, said] = ["Do this. ".repeat(10_000), "Did that. ".repeat(50_000)];
  await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, said) });
  const { exitCode, report } = await start(api, ["--task", "-"], task).ended;
  expect(exitCode).toBe(0);
  expect(api.agents.get("codex-r1-1")?.task).toBe(task);
  expect(report.messages[0]?.text).toBe(said);
});
