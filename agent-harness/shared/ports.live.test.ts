import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { findPortHolder, isPortFree, listeners, requireFreePorts } from "./ports.ts";

let children: ChildProcess[] = [];
let servers: Server[] = [];
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  children = [];
  servers = [];
});

/** A program of its own that listens on some port of an address. */
async function listenElsewhere(host: string): Promise<{ pid: number; port: number }> {
  const code = `const server = require("net").createServer(); server.listen(0, process.argv[1], () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ["-e", code, host], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  let port = 0;
  createInterface({ input: child.stdout }).on("line", (line) => (port = Number(line)));
  await until("it listens", () => port > 0);
  return { pid: child.pid ?? 0, port };
}

const loopbacks = Object.values(networkInterfaces())
  .flat()
  .flatMap((one) => (one?.internal ? [one.address] : []));
// A machine without IPv6 has nothing to take there.
const hosts = ["127.0.0.1", "0.0.0.0", ...(loopbacks.includes("::1") ? ["::1", "::"] : [])];

test.each(hosts)("a listener on %s takes its port; pid and command are named", async (host) => {
  const { pid, port } = await listenElsewhere(host);
  expect(await isPortFree(port)).toBe(false);
  expect(await findPortHolder(port)).toEqual({ pid, command: expect.stringContaining(host) });
  await expect(requireFreePorts({ api: port }, "Stop it.")).rejects.toMatchObject({
    code: "PORT_TAKEN",
    message: expect.stringMatching(
      new RegExp(`^Port ${port} \\(api\\) is in use by pid ${pid} \\(.*node.*${host}\\)\\.$`),
    ),
    hint: "Stop it.",
    context: { port, name: "api", pid },
  });
});

test("a port is free again when its holder is gone", async () => {
  const { pid, port } = await listenElsewhere("127.0.0.1");
  process.kill(pid, "SIGKILL");
  await until("the port is free", () => isPortFree(port));
  expect(await findPortHolder(port)).toBeUndefined();
  await requireFreePorts({ api: port }, "");
});

test("the first port that is taken is named among those that are free", async () => {
  const { pid, port } = await listenElsewhere("127.0.0.1");
  const free = await freePort();
  await expect(requireFreePorts({ api: free, frontend: port }, "")).rejects.toMatchObject({
    context: { name: "frontend", pid },
  });
});

test("listeners: who listens on which of the ports, looking at the pids of interest only", async () => {
  const one = await listenElsewhere("127.0.0.1");
  const two = await listenElsewhere("127.0.0.1");
  const byPort = (a: { port: number }, b: { port: number }) => a.port - b.port;
  expect((await listeners([one.port, two.port])).sort(byPort)).toEqual([one, two].sort(byPort));
  expect(await listeners([one.port, two.port], [two.pid])).toEqual([two]);
  expect(await listeners([one.port], [process.pid])).toEqual([]);
  expect(await listeners([])).toEqual([]);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("looking does not take the port: it can be listened on at once", async () => {
  const port = await freePort();
  expect(await isPortFree(port)).toBe(true);
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  expect(await isPortFree(port)).toBe(false);
  expect((await findPortHolder(port))?.pid).toBe(process.pid);
});
