import { expect, test } from "vitest";
import { type DispatchRequest, readRequest } from "../sessions/dispatch/inputs.ts";
import { givenInputs } from "./dispatch-inputs.ts";

const read = (options: Record<string, unknown>, env: Record<string, string> = {}): DispatchRequest =>
  readRequest(givenInputs(options, env), "/work/shop");

test("every input of the seed is an environment variable", () => {
  const env = {
    PROJECT_CWD: "/work/other",
    PROVIDER: "codex",
    TASK: "Say hello.",
    PROJECT_NAME: "other",
    MODEL: "m1",
    SUBSCRIPTION: "work",
    PARALLEL_COUNT: "3",
    WEBHOOK_MODE: "enabled",
    COMPLETION_MODE: "any",
    TIMEOUTS: '{"spawnTimeoutMs":1,"completionTimeoutMs":2,"idleGraceMs":3}',
  };
  expect(read({}, env)).toMatchObject({
    cwd: "/work/other",
    provider: "codex",
    task: "Say hello.",
    projectName: "other",
    model: "m1",
    subscription: "work",
    count: 3,
    webhook: true,
    completion: "any",
    timeouts: { spawnTimeoutMs: 1, completionTimeoutMs: 2, idleGraceMs: 3 },
    ephemeral: false,
    forceCleanup: false,
    expectsInput: false,
  });
});

test("a flag wins over its variable", () => {
  const env = {
    PROVIDER: "codex",
    TASK: "No.",
    WEBHOOK_MODE: "enabled",
    TIMEOUTS: '{"spawnTimeoutMs":1,"idleGraceMs":3}',
  };
  const options = {
    provider: "pi",
    task: "Yes.",
    webhook: false,
    spawnTimeout: "90s",
    cwd: "sub",
    expectsInput: "Well?",
  };
  expect(read(options, env)).toMatchObject({
    cwd: "/work/shop/sub",
    provider: "pi",
    task: "Yes.",
    webhook: false,
    timeouts: { spawnTimeoutMs: 90_000, completionTimeoutMs: 3_600_000, idleGraceMs: 3 },
    expectsInput: true,
    nudge: "Well?",
  });
});

test("without more, one agent works here, and each run has an id of its own", () => {
  const [one, other] = [read({ provider: "pi", task: "x" }), read({ provider: "pi", task: "x" })];
  expect(one).toMatchObject({ cwd: "/work/shop", count: 1, completion: "all", webhook: false, projectName: undefined });
  expect(one.runId).toMatch(/^[0-9a-f]{8}$/);
  expect(other.runId).not.toBe(one.runId);
});

test("a time that no timer can wait for is refused, however it was given", () => {
  const given = { provider: "pi", task: "x" };
  expect(read({ ...given, completionTimeout: "24d" }).timeouts.completionTimeoutMs).toBe(24 * 86_400_000);
  expect(() => read({ ...given, completionTimeout: "25d" })).toThrow(
    "--completion-timeout is at most 24 days, not 25d",
  );
  const json = (ms: number) => ({ TIMEOUTS: JSON.stringify({ spawnTimeoutMs: ms }) });
  expect(read(given, json(2_147_483_647)).timeouts.spawnTimeoutMs).toBe(2_147_483_647);
  expect(() => read(given, json(2_147_483_648))).toThrow("spawnTimeoutMs is at most 2147483647 ms (24 days)");
});

test("every problem is told at once, by the names that were used", () => {
  const options = { provider: "codx", parallel: "0", project: "a b", stack: "100", idleGrace: "soon", runId: "A" };
  const env = { COMPLETION_MODE: "most", WEBHOOK_MODE: "on", TIMEOUTS: '{"spawnTimeout":1,"idleGraceMs":"x"}' };
  expect(() => read(options, env)).toThrow(
    [
      'The dispatch cannot begin: --provider (PROVIDER) is "codx"; did you mean `codex`?',
      "--task (TASK) is missing",
      '--project (PROJECT_NAME) is 1 to 64 letters, digits, _ and -, not "a b"',
      '--parallel (PARALLEL_COUNT) is a whole number from 1 to 50, not "0"',
      'WEBHOOK_MODE is "on"; allowed: `enabled`, `disabled`',
      '--completion (COMPLETION_MODE) is "most"; allowed: `all`, `any`',
      "TIMEOUTS has spawnTimeout; did you mean `spawnTimeoutMs`?",
      "TIMEOUTS: idleGraceMs is a number of ms",
      '--idle-grace is a length of time such as 90s, not "soon"',
      '--stack (HARNESS_STACK) is a whole number from 1 to 99, not "100"',
      '--run-id (HARNESS_RUN_ID) is 1 to 16 small letters, digits and -, not "A".',
    ].join("; "),
  );
  expect(() => read({ provider: "pi", task: "x" }, { TIMEOUTS: "[1]" })).toThrow(
    /TIMEOUTS is a JSON object with .*\[1]/,
  );
});
