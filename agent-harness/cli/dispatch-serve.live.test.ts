import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DispatchReport } from "../sessions/dispatch/report.ts";
import { packageRoot } from "../shared/paths.ts";
import { agentCliEnv, findAgentCli } from "../testing/agent-clis.ts";
import { build } from "../testing/crash.ts";
import { openHarness, type TestHarness } from "../testing/harness.ts";
import { openHoldingProxy } from "../testing/holding-proxy.ts";
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
    const program = join(here.home, "pi");
    // One that never begins, while a file says so.
    const lines = ["#!/bin/sh", `[ -e "${join(here.home, "stuck")}" ] && exec sleep 600`, `exec "${pi}" "$@"`, ""];
    await writeFile(program, lines.join("\n"), { mode: 0o755 });
    const providers = { pi: { command: program, modelUrl: model.url, modelKey: "scripted" } };
    await writeFile(join(here.home, "sessions.json"), JSON.stringify({ runIn: "headless", providers }), {
      mode: 0o600,
    });
  });
  afterAll(async () => {
    await model[Symbol.asyncDispose]();
    await here[Symbol.asyncDispose]();
  });

  const start = (argv: readonly string[], apiPort = port): ChildProcess =>
    spawn(process.execPath, [join(packageRoot(), "dist", "bin", "agent-harness.js"), ...argv], {
      cwd: here.home,
      env: {
        ...agentCliEnv(here.home),
        ...here.env,
        HARNESS_BASE_URL: `http://127.0.0.1:${apiPort}/api/v1`,
        NODE_EXTRA_CA_CERTS: undefined,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });

  async function serve(): Promise<AsyncDisposable & { kill(): Promise<unknown> }> {
    const child = start(["serve", "--port", String(port)]);
    const ended = once(child, "close");
    if (child.stdout === null) throw new Error("no stdout");
    for await (const line of createInterface({ input: child.stdout })) if (line.includes("serves")) break;
    const end = async (signal: NodeJS.Signals): Promise<unknown> => {
      child.kill(signal);
      return await ended;
    };
    return { kill: () => end("SIGKILL"), [Symbol.asyncDispose]: async () => void (await end("SIGTERM")) };
  }

  const startDispatch = (argv: readonly string[], apiPort = port): ChildProcess =>
    start(["dispatch", "--provider", "pi", "--task", "Say something.", ...argv], apiPort);

  async function kill(child: ChildProcess): Promise<void> {
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
  }

  async function dispatch(...argv: string[]): Promise<{ exitCode: unknown; report: DispatchReport }> {
    const child = startDispatch(argv);
    if (child.stdout === null) throw new Error("no stdout");
    const [stdout, [exitCode]] = await Promise.all([text(child.stdout), once(child, "close")]);
    return { exitCode, report: JSON.parse(stdout) as DispatchReport };
  }

  /** The event and the state of each webhook about an agent. */
  async function deliveries(agentId: string): Promise<[string, string][]> {
    const token = (await readFile(join(here.home, "api-token"), "utf8")).trim();
    const url = `http://127.0.0.1:${port}/api/v1/webhook/status`;
    const { status } = (await (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).json()) as {
      status: { deliveries: { agentId: string; event: string; state: string }[] };
    };
    return status.deliveries.filter((one) => one.agentId === agentId).map(({ event, state }) => [event, state]);
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

  test("a run that was killed is taken up by its id, and gets the webhooks of its agents", async () => {
    const before = model.turns().length;
    let release = (): void => undefined;
    ready = new Promise((resolve) => {
      release = resolve;
    });
    await using _served = await serve();
    const argv = ["--project", "again", "--run-id", "again", "--webhook"];
    const killed = startDispatch(argv);
    await expect.poll(() => model.turns().length, { timeout: 60_000 }).toBe(before + 1);
    await kill(killed);
    const { receiver } = JSON.parse(await readFile(join(here.home, "dispatch", "again.json"), "utf8"));
    const running = dispatch(...argv, "--ephemeral");
    const isReceived = () => fetch(`http://127.0.0.1:${receiver.port}/hints`).then(({ status }) => status);
    await expect.poll(isReceived, { timeout: 60_000 }).toBe(405);
    release();
    const { exitCode, report } = await running;
    expect(report.errors).toEqual([]);
    expect(exitCode).toBe(0);
    expect(report.agents).toMatchObject([{ id: "pi-again-1", finalStatus: "idle", attempts: 1, deleted: true }]);
    expect(model.turns()).toHaveLength(before + 1);
    expect((await deliveries("pi-again-1")).sort()).toEqual([
      ["agent_completed", "delivered"],
      ["agent_exited", "delivered"],
    ]);
  }, 120_000);

  test("a run that was killed between an agent's deletion and the next one's creation goes on with that one", async () => {
    const before = model.turns().length;
    const stuck = join(here.home, "stuck");
    await writeFile(stuck, "");
    await using _served = await serve();
    await using proxy = await openHoldingProxy(port, /^POST .* dispatch-between-1-2$/);
    const argv = ["--project", "between", "--run-id", "between"];
    const killed = startDispatch([...argv, "--spawn-timeout", "1s"], proxy.port);
    await expect.poll(() => proxy.held, { timeout: 60_000 }).toHaveLength(1);
    await kill(killed);
    await rm(stuck);
    const { exitCode, report } = await dispatch(...argv, "--ephemeral");
    expect(report.agents).toMatchObject([
      { id: "pi-between-1-2", finalStatus: "idle", attempts: 2, replaces: ["pi-between-1"], deleted: true },
    ]);
    expect(report.errors).toEqual([]);
    expect(exitCode).toBe(0);
    expect(model.turns()).toHaveLength(before + 1);
  }, 120_000);
});
