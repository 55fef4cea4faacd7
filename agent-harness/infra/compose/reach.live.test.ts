import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { homePaths } from "../../shared/paths.ts";
import { infraPorts } from "../../shared/settings.ts";
import { hasDocker } from "../../testing/docker.ts";
import { openHarness, type Printed, type TestHarness } from "../../testing/harness.ts";
import { newRecord, writeRecord } from "../record.ts";
import { findEndpoint } from "./endpoint.ts";
import { openEngine } from "./engine.ts";
import { agreeOnImages } from "./images.ts";

const engine = hasDocker ? await openEngine(await findEndpoint(process.env)) : undefined;
/** Where the machine's own network could be had, another one leads to its bridge, and never to its loopback. */
const bridged = (await engine?.browserNetwork()) === "host";

describe.skipIf(!bridged)("with Docker: a browser with a network of its own", () => {
  let harness: TestHarness;
  let up: Printed;

  beforeAll(async () => {
    harness = await openHarness({ driver: "compose" });
    const record = newRecord("compose", infraPorts(harness.env));
    const project = harness.env["AGENT_COMPOSE_PROJECT"] ?? "";
    const host = engine?.endpoint.host ?? "";
    record.compose = { project, engine: host, images: agreeOnImages(harness.env), browserNetwork: "bridge" };
    await writeRecord(homePaths(harness.home), record);
    up = await harness.harness(harness.home, "infra", "up");
    expect(up.exitCode, up.stderr).toBe(0);
  });
  afterAll(async () => await harness?.[Symbol.asyncDispose]());

  test("opens by localhost what this machine serves where the browser reaches it, with the URL of a person", async () => {
    const server = createServer((request, response) => response.end(`${request.url} of ${request.headers.host}`));
    const { host, port } = await listenForContainers(server, harness.env["AGENT_COMPOSE_PROJECT"] ?? "");
    const browser = await chromium.connectOverCDP(`ws://127.0.0.1:${harness.env["AGENT_BROWSER_PORT"]}`);
    try {
      const page = await browser.newPage();
      for (const name of ["localhost", "127.0.0.1", "[::1]", "app.localhost"]) {
        await page.goto(`http://${name}:${port}/entries`);
        expect(await page.textContent("body")).toBe(`/entries of ${name}:${port}`);
        expect(await page.evaluate("isSecureContext")).toBe(true);
      }
      await page.goto(`http://${host}:${port}/`);
      expect(await page.textContent("body")).toBe(`/ of ${host}:${port}`);
    } finally {
      await browser.close();
      server.close();
      server.closeAllConnections();
    }
  });

  test("that does not reach this machine's loopback says so, when it starts and when it is asked", async () => {
    const said = `The browser cannot open http://localhost:<port> of a stack: the Docker engine at ${engine?.endpoint.host} `;
    expect(up.stderr).toContain(said);
    expect(up.stdout).not.toContain(said);
    const { exitCode, stdout } = await harness.harness(harness.home, "infra", "status");
    expect(exitCode, "all of them work").toBe(0);
    expect(stdout).toContain(said);
  });
});

/** Listens where `host.docker.internal` leads to, and nowhere else. */
async function listenForContainers(server: Server, project: string): Promise<{ host: string; port: number }> {
  const container = engine?.docker.getContainer(`${project}-headless-browser-1`);
  const exec = await container?.exec({ Cmd: ["cat", "/etc/hosts"], AttachStdout: true });
  const hosts = exec === undefined ? "" : await text(await exec.start({}));
  const host = /([\d.]+)\s+host\.docker\.internal/.exec(hosts)?.[1];
  if (host === undefined) throw new Error(`no host.docker.internal in ${hosts}`);
  await once(server.listen(0, host), "listening");
  return { host, port: (server.address() as AddressInfo).port };
}
