import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DispatchReport } from "../sessions/dispatch/report.ts";
import { packageRoot } from "../shared/paths.ts";
import { agentCliEnv, findAgentCli } from "../testing/agent-clis.ts";
import { build } from "../testing/crash.ts";
import { openHarness, type TestHarness } from "../testing/harness.ts";
import { type ModelServer, openModelServer } from "../testing/model-server.ts";
import { freePorts } from "../testing/ports.ts";

/* All of it: the real command, the real API on a real Postgres, a real coding agent; only the model is scripted. */

const pi = findAgentCli("pi");

describe.skipIf(pi === undefined)("with the real pi", () => {
  let here: TestHarness;
  let model: ModelServer;
  let port = 0;
  /** What the model waits for before it answers. */
  let ready: Promise<void> = Promise.resolve();
  beforeAll(async () => {
    await build();
    here = await openHarness();
    model = await openModelServer({
      script: async ({ count }) => {
        await ready;
        return { kind: "text", text: `Answer ${count}.` };
      },
    });
    [port = 0] = await freePorts(1);
    const providers = { pi: { command: pi, modelUrl: model.url, modelKey: "scripted" } };
    await writeFile(join(here.home, "sessions.json"), JSON.stringify({ runIn: "headless", providers }), {
      mode: 0o600,
    });
  });
  afterAll(async () => {
    await model[Symbol.asyncDispose]();
    await here[Symbol.asyncDispose]();
  });

  const start = (...argv: string[]): ChildProcess =>
    spawn(process.execPath, [join(packageRoot(), "dist", "bin", "agent-harness.js"), ...argv], {
      cwd: here.home,
      env: {
        ...agentCliEnv(here.home),
        ...here.env,
        HARNESS_BASE_URL: `http://127.0.0.1:${port}/api/v1`,
        NODE_EXTRA_CA_CERTS: undefined,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });

  async function serve(): Promise<AsyncDisposable & { kill(): Promise<unknown> }> {
    const child = start("serve", "--port", String(port));
    const ended = once(child, "close");
    if (child.stdout === null) throw new Error("no stdout");
    for await (const line of createInterface({ input: child.stdout })) if (line.includes("serves")) break;
    const end = async (signal: NodeJS.Signals): Promise<unknown> => {
      child.kill(signal);
      return await ended;
    };
    return { kill: () => end("SIGKILL"), [Symbol.asyncDispose]: async () => void (await end("SIGTERM")) };
  }

  async function dispatch(...argv: string[]): Promise<{ exitCode: unknown; report: DispatchReport }> {
    const child = start("dispatch", "--provider", "pi", "--task", "Say something.", ...argv);
    if (child.stdout === null) throw new Error("no stdout");
    const [stdout, [exitCode]] = await Promise.all([text(child.stdout), once(child, "close")]);
    return { exitCode, report: JSON.parse(stdout) as DispatchReport };
  }

  test("two agents do a task, are reported with what they said, and leave nothing behind", async () => {
    await using _served = await serve();
    const { exitCode, report } = await dispatch("--parallel", "2", "--webhook", "--ephemeral", "--project", "two");
    expect(report.errors).toEqual([]);
    expect(exitCode).toBe(0);
    expect(report.messages.map(({ text: said }) => said).sort()).toEqual(["Answer 1.", "Answer 2."]);
    expect(report.messages.map(({ source }) => source)).toEqual(["messages/last", "messages/last"]);
    expect(report.agents.map(({ finalStatus, deleted }) => [finalStatus, deleted])).toEqual([
      ["idle", true],
      ["idle", true],
    ]);
    expect(report.project).toMatchObject({ name: "two", created: true, deleted: true });
  }, 120_000);

  test("a run outlives kill -9 of the API, and the task is run once", async () => {
    const before = model.turns().length;
    let release = (): void => undefined;
    ready = new Promise((resolve) => {
      release = resolve;
    });
    const first = await serve();
    const running = dispatch("--project", "killed", "--run-id", "killed", "--ephemeral");
    await expect.poll(() => model.turns().length, { timeout: 60_000 }).toBe(before + 1);
    await first.kill();
    await using _second = await serve();
    release();
    const { exitCode, report } = await running;
    expect(exitCode).toBe(0);
    expect(report.agents).toMatchObject([{ id: "pi-killed-1", finalStatus: "idle", attempts: 1 }]);
    expect(report.messages[0]?.text).toBe(`Answer ${before + 1}.`);
    expect(model.turns()).toHaveLength(before + 1);
    expect(report.errors.length).toBeGreaterThan(0);
    expect(report.errors.every(({ recovered }) => recovered)).toBe(true);
  }, 120_000);

  test("a run that was killed is taken up by its id, though its webhooks go elsewhere now", async () => {
    const before = model.turns().length;
    let release = (): void => undefined;
    ready = new Promise((resolve) => {
      release = resolve;
    });
    await using _served = await serve();
    const argv = ["--project", "again", "--run-id", "again", "--webhook"];
    const killed = start("dispatch", "--provider", "pi", "--task", "Say something.", ...argv);
    await expect.poll(() => model.turns().length, { timeout: 60_000 }).toBe(before + 1);
    const ended = once(killed, "close");
    killed.kill("SIGKILL");
    await ended;
    const running = dispatch(...argv, "--ephemeral");
    release();
    const { exitCode, report } = await running;
    expect(report.errors).toEqual([]);
    expect(exitCode).toBe(0);
    expect(report.agents).toMatchObject([{ id: "pi-again-1", finalStatus: "idle", attempts: 1, deleted: true }]);
    expect(model.turns()).toHaveLength(before + 1);
  }, 120_000);
});
