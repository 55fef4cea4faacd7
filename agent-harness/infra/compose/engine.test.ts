import { once } from "node:events";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type Server as HttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { refused } from "../../testing/config-folder.ts";
import { freePorts } from "../../testing/ports.ts";
import type { Endpoint } from "./endpoint.ts";
import { openEngine } from "./engine.ts";

/* Engines as they answer, or do not, when something is wrong with them. The real one is in the live tests. */

let folder: string;
let socket: string;
const servers: (Server | HttpServer)[] = [];

const at = (host: string): Endpoint => ({ host, source: "DOCKER_HOST" });
const here = (): Endpoint => at(`unix://${socket}`);

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ah-engine-")));
  socket = join(folder, "docker.sock");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) {
    const closed = once(server, "close");
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
    await closed;
  }
  await rm(folder, { recursive: true, force: true });
});

/** Answers every question in the same way. */
async function answer(listener: RequestListener, where: string | number = socket): Promise<number> {
  const server = createHttpServer(listener);
  servers.push(server);
  await once(typeof where === "string" ? server.listen(where) : server.listen(where, "127.0.0.1"), "listening");
  return typeof where === "string" ? 0 : (server.address() as AddressInfo).port;
}

const json = (body: unknown, status = 200): RequestListener => {
  return (_, response) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
};

describe("an engine that does not answer", () => {
  it("has no socket", async () => {
    const error = await refused(openEngine(here()));
    expect(error.code).toBe("DOCKER_UNAVAILABLE");
    expect(error.message).toBe(`No Docker engine answers at unix://${socket} (DOCKER_HOST): connect ENOENT ${socket}.`);
    expect(error.hint).toContain("Start Docker, or set DOCKER_HOST");
    expect(error.hint).toContain("infra.driver to embedded");
  });

  it("has a socket on which nobody listens", async () => {
    // A file in the socket's place is refused by the system just like the socket of a dead engine.
    await writeFile(socket, "");
    expect((await refused(openEngine(here()))).message).toMatch(/connect (ECONNREFUSED|ENOTSOCK) /);
  });

  it("has a port on which nobody listens", async () => {
    const [port = 0] = await freePorts(1);
    const { message } = await refused(openEngine(at(`tcp://127.0.0.1:${port}`)));
    expect(message).toContain(
      `No Docker engine answers at tcp://127.0.0.1:${port} (DOCKER_HOST): connect ECONNREFUSED`,
    );
  });

  it("takes the question and says nothing: ends within the limit", async () => {
    const server = createServer((one) => one.on("error", () => undefined).resume());
    servers.push(server);
    await once(server.listen(socket), "listening");
    const asked = once(server, "connection");
    const error = await refused(openEngine(here(), { limitMs: 300 }));
    (await asked)[0].destroy();
    expect(error.code).toBe("DOCKER_UNAVAILABLE");
    expect(error.message).toBe(`The Docker engine at unix://${socket} (DOCKER_HOST) did not answer within 0.3 s.`);
    expect(error.hint).toContain("Restart Docker");
  });

  it("answers at first, and later hangs", async () => {
    await answer((request, response) => {
      if (request.url === "/version") response.end(JSON.stringify({ Version: "20.10.24", ApiVersion: "1.41" }));
    });
    const engine = await openEngine(here(), { limitMs: 300 });
    expect((await refused(engine.containers("x"))).message).toContain("did not answer within 0.3 s");
  });

  it("hangs up", async () => {
    await answer((request) => request.socket.destroy());
    expect((await refused(openEngine(here()))).message).toContain("(DOCKER_HOST): socket hang up.");
  });

  it("asks for certificates that are not there", async () => {
    const error = await refused(openEngine({ ...at("tcp://127.0.0.1:2376"), certFolder: folder }));
    expect(error.code).toBe("DOCKER_UNAVAILABLE");
    expect(error.message).toContain("The certificates for the Docker engine at tcp://127.0.0.1:2376");
    expect(error.message).toContain(join(folder, "ca.pem"));
    expect(error.hint).toContain(`ca.pem, cert.pem and key.pem into ${folder}`);
  });
});

describe("an answer that will not do", () => {
  it("is an error of the engine, in its own words", async () => {
    await answer(json({ message: "the store is broken" }, 500));
    const error = await refused(openEngine(here()));
    expect(error.code).toBe("DOCKER_UNAVAILABLE");
    expect(error.message).toBe(
      `The Docker engine at unix://${socket} (DOCKER_HOST) answered with an error, 500: the store is broken`,
    );
    expect(error.hint).toContain("journalctl --unit docker");
  });

  it("is one of something else", async () => {
    await answer((_, response) => response.end("<h1>It works!</h1>"));
    const error = await refused(openEngine(here()));
    expect([error.code, error.message]).toEqual([
      "DOCKER_UNAVAILABLE",
      `What answers at unix://${socket} (DOCKER_HOST) is no Docker engine.`,
    ]);
  });

  it("is one of an engine that is too old", async () => {
    await answer(json({ Version: "19.03.15", ApiVersion: "1.40" }));
    const { code, message, hint } = await refused(openEngine(here()));
    expect(code).toBe("DOCKER_UNAVAILABLE");
    expect(message).toContain("is 19.03.15 (API 1.40): 20.10 (API 1.41) is the oldest that will do.");
    expect(hint).toContain("Update Docker");
  });
});

describe("an engine that answers", () => {
  const version = { Version: "29.0.0", ApiVersion: "1.52" };

  it("is opened, by its socket or by its port", async () => {
    await answer(json(version));
    const port = await answer(json({ ...version, Version: "28.1.0" }), 0);
    expect((await openEngine(here())).version).toBe("29.0.0");
    expect((await openEngine(at(`tcp://127.0.0.1:${port}`))).version).toBe("28.1.0");
  });

  it.each(["tcp://127.0.0.1:1", "tcp://", "ssh://nowhere", "unix:///nowhere.sock"])(
    "is the one asked for, though this process's DOCKER_HOST is %s",
    async (theirs) => {
      await answer(json(version));
      vi.stubEnv("DOCKER_HOST", theirs);
      expect((await openEngine(here())).version).toBe("29.0.0");
      expect(process.env["DOCKER_HOST"]).toBe(theirs);
    },
  );
});
