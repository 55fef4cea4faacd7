import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../shared/paths.ts";
import { runBin } from "../testing/bin.ts";
import { openHarness, type TestHarness } from "../testing/harness.ts";
import { listenersOn } from "../testing/listening.ts";
import { freePorts } from "../testing/ports.ts";
import { openFrames } from "../testing/sse.ts";
import { until } from "../testing/until.ts";

/* The real program: it brings infra up, serves, and can be killed and started again. */

let here: TestHarness;
beforeAll(async () => {
  here = await openHarness();
});
afterAll(() => here[Symbol.asyncDispose]());

interface Served extends AsyncDisposable {
  child: ChildProcess;
  url: string;
  stderr: () => string;
  ask(method: string, path: string, json?: unknown): Promise<{ status: number; json: unknown }>;
  headers: Record<string, string>;
  ended: Promise<unknown[]>;
}

async function serve(more: Record<string, string> = {}): Promise<Served> {
  const [port] = await freePorts(1);
  const program = join(packageRoot(), "dist", "bin", "agent-harness.js");
  const child = spawn(process.execPath, [program, "serve", "--json", "--port", String(port)], {
    cwd: here.home,
    env: { ...here.env, ...more },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  let stdout = "";
  for await (const line of createInterface({ input: child.stdout })) {
    stdout += line;
    if (line === "}") break;
  }
  expect(stdout, stderr).not.toBe("");
  const { url, token } = JSON.parse(stdout) as { url: string; token: string };
  const bearer = more["HARNESS_BEARER_TOKEN"] ?? (await readFile(token, "utf8")).trim();
  const headers = { authorization: `Bearer ${bearer}` };
  return {
    child,
    url,
    headers,
    ended,
    stderr: () => stderr,
    ask: async (method, path, json) => {
      const body = json === undefined ? {} : { body: JSON.stringify(json) };
      const response = await fetch(url + path, { method, headers, ...body });
      const text = await response.text();
      return { status: response.status, json: text === "" ? undefined : (JSON.parse(text) as unknown) };
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

test("it brings infra up, keeps its token to us, and stops in order", async () => {
  await using served = await serve();
  const port = Number(new URL(served.url).port);
  expect(await listenersOn([port])).toEqual([{ port, loopback: true }]);
  expect((await stat(join(here.home, "api-token"))).mode & 0o777).toBe(0o600);
  expect((await stat(join(here.home, "webhook-secret"))).mode & 0o777).toBe(0o600);
  expect(await served.ask("GET", "/health")).toMatchObject({ status: 200, json: { store: "ok" } });
  expect(await (await fetch(`${served.url}/projects`)).json()).toMatchObject({ error: "UNAUTHORIZED" });
  await served.ask("POST", "/projects", { name: "stop", cwd: here.home });
  await using stream = await openFrames(`${served.url}/projects/stop/events`, served.headers);
  await stream.any();
  served.child.kill("SIGTERM");
  expect(await stream.any()).toEqual({ comment: "the stream ends; come back with the last id" });
  expect(await served.ended).toEqual([0, null]);
  expect(served.stderr()).toContain("stopping: agents go on");
}, 120_000);

test("after kill -9 the next one has the same projects and token, and another port that is taken is named", async () => {
  const first = await serve();
  expect(await first.ask("POST", "/projects", { name: "kept", cwd: here.home })).toMatchObject({ status: 201 });
  first.child.kill("SIGKILL");
  await first.ended;
  await using second = await serve();
  expect(second.headers).toEqual(first.headers);
  expect(await second.ask("GET", "/projects/kept")).toMatchObject({
    status: 200,
    json: { project: { cwd: here.home } },
  });
  const port = new URL(second.url).port;
  const third = await runBin("agent-harness", ["serve", "--port", port], { cwd: here.home, env: here.env });
  expect(third).toMatchObject({ exitCode: 5, stderr: expect.stringContaining(`Port ${port} of 127.0.0.1 is in use.`) });
}, 120_000);

test("a token of the environment is the one that counts", async () => {
  await using served = await serve({ HARNESS_BEARER_TOKEN: "given" });
  expect(await served.ask("GET", "/projects")).toMatchObject({ status: 200 });
  const own = (await readFile(join(here.home, "api-token"), "utf8")).trim();
  const refused = await fetch(`${served.url}/projects`, { headers: { authorization: `Bearer ${own}` } });
  expect(refused.status).toBe(401);
  expect(served.stderr()).not.toContain("given");
}, 120_000);

test("while Postgres is away it says so, and goes on when it is back", async () => {
  await using served = await serve();
  await served.ask("POST", "/projects", { name: "away", cwd: here.home });
  expect((await here.harness(here.home, "infra", "down", "--force")).exitCode).toBe(0);
  expect(await served.ask("GET", "/projects")).toMatchObject({ status: 503, json: { error: "STORE_UNAVAILABLE" } });
  expect(await served.ask("GET", "/health")).toMatchObject({ status: 200, json: { store: "unavailable" } });
  expect((await here.harness(here.home, "infra", "up")).exitCode).toBe(0);
  await until("it goes on", async () => (await served.ask("GET", "/projects/away")).status === 200, 20_000);
}, 180_000);

test.each([
  [["--host", "0.0.0.0"], 2, "listens on loopback only"],
  [["--port", "70000"], 2, "--port wants at most 65535"],
  [["--port", "x"], 2, "--port wants a whole number"],
])(
  "%j is refused",
  async (flags, exitCode, text) => {
    const refused = await runBin("agent-harness", ["serve", ...flags], { cwd: here.home, env: here.env });
    expect(refused).toMatchObject({ exitCode, stderr: expect.stringContaining(text) });
  },
  60_000,
);
