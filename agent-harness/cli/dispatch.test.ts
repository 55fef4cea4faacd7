import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DispatchReport } from "../sessions/dispatch/report.ts";
import { type ApiDouble, openApiDouble } from "../testing/api-double.ts";
import { runHarness } from "./index.ts";

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "ah-dispatch-"));
});
afterAll(() => rm(home, { recursive: true, force: true }));

/** Runs the command in-process, with the seed's variables for the double. */
async function run(api: Pick<ApiDouble, "url" | "token">, argv: readonly string[], env: Record<string, string> = {}) {
  const printed = { stdout: "", stderr: "" };
  const exitCode = await runHarness(["dispatch", ...argv], {
    cwd: home,
    env: {
      AGENT_HARNESS_HOME: home,
      HARNESS_BASE_URL: api.url,
      ...(api.token === undefined ? {} : { HARNESS_BEARER_TOKEN: api.token }),
      PROVIDER: "codex",
      TASK: "Say hello.",
      HARNESS_RUN_ID: "r1",
      TIMEOUTS: '{"completionTimeoutMs":20000,"idleGraceMs":50}',
      ...env,
    },
    live: false,
    interactive: false,
    stdout: (text) => (printed.stdout += text),
    stderr: (text) => (printed.stderr += text),
  });
  return { exitCode, ...printed, report: JSON.parse(printed.stdout) as DispatchReport };
}

test("0 and one JSON document when it was met", async () => {
  await using api = await openApiDouble({
    token: "t0ken",
    onCreate: ({ id }, double) => double.finish(id, "Hello."),
  });
  const { exitCode, report, stdout, stderr } = await run(api, ["--parallel", "2", "--webhook"]);
  expect(exitCode).toBe(0);
  expect(Object.keys(report)).toEqual(["runId", "completion", "project", "agents", "messages", "errors", "timings"]);
  expect(report.messages.map(({ text }) => text)).toEqual(["Hello.", "Hello."]);
  expect(report.project?.cwd).toBe(home);
  expect(stderr).toContain("dispatch r1: 2 × codex");
  expect(stderr).toContain("codex-r1-1 is idle");
  expect(stdout + stderr).not.toContain("t0ken");
  expect(api.requests.every(({ token }) => token === "t0ken")).toBe(true);
});

test("1 when it was not met, with the command to attach on stderr", async () => {
  await using api = await openApiDouble({ onCreate: ({ id }, double) => double.finish(id, "No.", "error") });
  const { exitCode, report, stderr } = await run(api, []);
  expect(exitCode).toBe(1);
  expect(report.completion.reason).toBe("failed");
  expect(stderr).toContain("codex-r1-1: tmux attach -t codex-r1-1");
});

test("7 when it was not met in time", async () => {
  await using api = await openApiDouble({ onCreate: ({ id }, double) => double.set(id, "processing") });
  const { exitCode, report } = await run(api, ["--completion-timeout", "1s"]);
  expect(exitCode).toBe(7);
  expect(report.completion.reason).toBe("timeout");
});

test("1 and the document when nobody answers", async () => {
  const { exitCode, report } = await run({ url: "http://127.0.0.1:9/api/v1", token: undefined }, []);
  expect(exitCode).toBe(1);
  expect(report).toMatchObject({ project: null, agents: [], messages: [], errors: [{ code: "API_UNREACHABLE" }] });
});

test("2 and the document when it cannot begin", async () => {
  const { exitCode, report, stderr } = await run({ url: "ftp://x", token: undefined }, []);
  expect(exitCode).toBe(2);
  expect(report.errors).toMatchObject([{ code: "USAGE", message: "--base-url (HARNESS_BASE_URL) is no URL: ftp://x" }]);
  expect(stderr).toContain("next: Such as: http://127.0.0.1:7070/api/v1");
  const empty = await run({ url: "http://127.0.0.1:9", token: undefined }, [], { TASK: "" });
  expect(empty.report).toMatchObject({
    runId: null,
    project: null,
    errors: [{ doing: "begin", hint: "See: agent-harness dispatch --help" }],
  });
});
