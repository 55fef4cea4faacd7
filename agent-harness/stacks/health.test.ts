import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { probe } from "./health.ts";

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function listen(answer: RequestListener): Promise<{ url: string; port: number }> {
  const listening = createServer(answer);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const { port } = listening.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/health`, port };
}

test("200 of a listener of the tree is health, however long the answer goes on", async () => {
  const { url, port } = await listen((_, response) => {
    response.writeHead(200).write("and so on");
  });
  expect(await probe(url, port, process.pid)).toBeUndefined();
});

test("another status is not, and what it says is told", async () => {
  const { url, port } = await listen((_, response) => response.writeHead(503).end("no database"));
  expect(await probe(url, port, process.pid)).toBe(`${url} answered 503: no database`);
});

test("an answer that breaks off is no answer yet, not a bug", async () => {
  const { url, port } = await listen((request, response) => {
    response.writeHead(503, { "content-length": "100" }).write("half");
    request.socket.destroy();
  });
  expect(await probe(url, port, process.pid)).toMatch(/does not answer/);
});

test("200 of somebody else's listener is not health", async () => {
  const { url, port } = await listen((_, response) => response.end());
  // Process 1 is nobody's tree of ours.
  expect(await probe(url, port, 2 ** 22)).toBe(`${url} is answered by a process of somebody else`);
});
