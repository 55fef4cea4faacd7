import { existsSync, lstatSync } from "node:fs";
import { mkdtemp, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../testing/until.ts";
import { CodexServer } from "./codex-server.ts";

const fake = fileURLToPath(new URL("../../testing/fake-codex-server.mjs", import.meta.url));

async function openServer(
  argv: (log: string) => string[] = (log) => ["env", `FAKE_LOG=${log}`, process.execPath, fake],
) {
  const folder = await mkdtemp(join(tmpdir(), "codex-server-"));
  const log = join(folder, "log");
  const threadFile = join(folder, "thread");
  const lines: string[] = [];
  const complaints: string[] = [];
  // Longer than a socket's path may be.
  const socket = join(folder, "s".repeat(120));
  const server = new CodexServer({
    socket,
    threadFile,
    argv: argv(log),
    line: (text) => lines.push(text),
    complain: (text) => complaints.push(text),
  });
  const connected = server.connect();
  onTestFinished(async () => {
    server.end();
    await Promise.all([server.ended, connected]);
    await rm(folder, { recursive: true });
  });
  const messages = () => lines.map((line) => JSON.parse(line) as { method?: string; id?: number; params?: object });
  const heard = () => messages().flatMap((one) => (one.method === "heard" ? [one.params] : []));
  const connections = () => messages().filter(({ method }) => method === "bridge/connected").length;
  const say = (method: string, more: object = {}): void => server.write(JSON.stringify({ method, ...more }));
  return { server, socket, log, threadFile, lines, messages, heard, connections, complaints, say };
}

test("passes lines on and back, each message as one line", async () => {
  const { lines, messages, connections, say } = await openServer();
  await until("the connection", () => connections() === 1);
  say("initialize", { id: 1 });
  await until("the answer", () => lines.length === 2);
  expect(messages()).toEqual([
    { method: "bridge/connected", params: { count: 1 } },
    { id: 1, result: {} },
  ]);
});

test("tells the terminal program the thread, but not before it has a log", async () => {
  const { log, threadFile, connections, lines, heard, say } = await openServer();
  await until("the connection", () => connections() === 1);
  say("initialized");
  say("thread/start", { id: 2 });
  await until("the answer", () => lines.some((line) => line.includes("thread-1")));
  say("anything");
  await until("the next answer", () => heard().length === 2);
  expect(existsSync(threadFile)).toBe(false);
  await writeFile(log, "");
  await until("the thread's id", () => existsSync(threadFile));
  expect(await readFile(threadFile, "utf8")).toBe("thread-1\n");
  expect((await stat(threadFile)).mode & 0o777).toBe(0o600);
});

test("makes a lost connection anew, and keeps lines back until there was a handshake", async () => {
  const { messages, heard, connections, say } = await openServer();
  await until("the connection", () => connections() === 1);
  say("initialized");
  say("drop");
  await until("the loss", () => messages().some(({ method }) => method === "bridge/disconnected"));
  say("early");
  await until("another connection", () => connections() === 2);
  say("initialize", { id: 7 });
  await until("an answer", () => messages().some(({ id }) => id === 7));
  say("between");
  expect(heard()).toHaveLength(1);
  say("initialized");
  await until("the lines", () => heard().length === 4);
  expect(heard().slice(1)).toMatchObject([{ method: "initialized" }, { method: "early" }, { method: "between" }]);
});

test("ends with the server, with its exit code, and leaves no socket", async () => {
  const { server, socket, connections, say } = await openServer();
  await until("the connection", () => connections() === 1);
  say("initialized");
  const target = await readlink(socket);
  expect(existsSync(target)).toBe(true);
  say("exit", { params: { code: 3 } });
  expect(await server.ended).toBe(3);
  expect([socket, target].map((path) => lstatSync(path, { throwIfNoEntry: false }))).toEqual([undefined, undefined]);
});

test("says why there is no server", async () => {
  const { server, complaints } = await openServer(() => ["/nowhere/codex"]);
  expect(await server.ended).toBe(1);
  expect(complaints.join()).toContain("/nowhere/codex");
});
