import { mkdtemp, readdir, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listProcesses } from "../../shared/process-tree.ts";
import { browserContract } from "../../testing/browser-contract.ts";
import { until } from "../../testing/until.ts";
import { type BrowserOptions, startBrowserServer } from "./browser.ts";
import type { RunningServer } from "./entry.ts";

let folder: string;
let server: RunningServer;

const start = (options: Partial<BrowserOptions> = {}): Promise<RunningServer> =>
  startBrowserServer({ port: 0, profiles: join(folder, "profiles"), ...options });
const url = (running = server): string => `ws://127.0.0.1:${running.port}`;
const ours = async (): Promise<number> => (await listProcesses()).filter((one) => one.command.includes(folder)).length;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ah-browser-"));
  server = await start();
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

browserContract(url);

/** The status that a request gets; an upgrade that succeeds is 101. */
function statusOf(running: RunningServer, headers: Record<string, string>, path = "/"): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ port: running.port, host: "127.0.0.1", path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.once("upgrade", (_, socket) => {
      socket.destroy();
      resolve(101);
    });
    sent.once("error", reject).end();
  });
}

const upgrade = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

describe("the browser server", () => {
  it("leaves no process and no profile when a client goes", async () => {
    const browser = await chromium.connectOverCDP(url());
    await browser.newPage();
    expect(await ours()).toBeGreaterThan(0);
    await browser.close();
    await until("every Chromium to end", async () => (await ours()) === 0);
    await until("every profile to go", async () => (await readdir(join(folder, "profiles"))).length === 0);
  });

  it("takes any path and query, and says how it is", async () => {
    expect(await statusOf(server, upgrade, "/chromium?token=x")).toBe(101);
    const health = await (await fetch(`http://127.0.0.1:${server.port}/health`)).json();
    expect(health).toMatchObject({ browser: expect.stringMatching(/^Chromium \d+\./), queued: 0 });
    expect(await statusOf(server, {}, "/other")).toBe(404);
    await until("the browser to end", async () => (await ours()) === 0);
  });

  it("is not for pages of the web", async () => {
    for (const headers of [{ host: "evil.example:80" }, { origin: "http://evil.example" }, { origin: "null" }]) {
      expect(await statusOf(server, headers, "/json/version")).toBe(403);
      expect(await statusOf(server, { ...upgrade, ...headers })).toBe(403);
    }
    expect(await statusOf(server, { host: "localhost:1" }, "/json/version")).toBe(200);
  });

  it("runs so many at once, lets some wait and sends the rest away", async () => {
    const small = await start({ concurrent: 1, queued: 1, profiles: join(folder, "small") });
    try {
      const first = await chromium.connectOverCDP(url(small));
      const second = chromium.connectOverCDP(url(small));
      const health = async (): Promise<unknown> => (await fetch(`http://127.0.0.1:${small.port}/health`)).json();
      await until("the second to wait", async () => JSON.stringify(await health()).includes('"running":1,"queued":1'));
      expect(await statusOf(small, upgrade)).toBe(429);
      await first.close();
      await (await second).close();
    } finally {
      await small.stop();
    }
  });

  it("tells a client why no browser came up, and goes on", async () => {
    const broken = { path: "/bin/false", args: [], env: {}, version: "0", source: "test" };
    const other = await start({ chromium: broken, profiles: join(folder, "broken") });
    expect(await statusOf(other, upgrade)).toBe(503);
    expect(await statusOf(other, upgrade)).toBe(503);
    expect(await readdir(join(folder, "broken"))).toEqual([]);
    await other.stop();
  });

  it("ends every browser when it is stopped", async () => {
    const other = await start({ profiles: join(folder, "stopped") });
    await chromium.connectOverCDP(url(other));
    await other.stop();
    expect(await ours()).toBe(0);
  });

  it("says which port is taken", async () => {
    await expect(start({ port: server.port })).rejects.toMatchObject({ code: "PORT_TAKEN" });
  });
});
