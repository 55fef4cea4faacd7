import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { createServer, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type HomePaths, homePaths } from "../shared/paths.ts";
import { freePorts } from "../testing/ports.ts";
import { sampleInfra } from "../testing/values.ts";
import { infraIsUp } from "./is-up.ts";
import { writeRecord } from "./record.ts";
import type { Infra } from "./services.ts";

let home: string;
let paths: HomePaths;
let infra: Infra;
let ports: number[];
const servers: Server[] = [];

/** What Postgres, an object store, a browser and a mail server's web page say first. */
const words = ["R\0\0\0", "HTTP/1.1 403", "HTTP/1.1 200", "HTTP/1.1 200"];

/** Says its word to whoever asks. Without one it only takes connections. */
const listen = (where: number | string, word = ""): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.on("error", () => undefined).on("data", () => socket.write(word)));
    server.once("error", reject);
    const done = (): void => {
      servers.push(server);
      resolve(server);
    };
    if (typeof where === "string") server.listen(where, done);
    else server.listen(where, "127.0.0.1", done);
  });
const close = (server: Server | undefined): Promise<unknown> => new Promise((resolve) => server?.close(resolve));

beforeEach(async () => {
  home = await realpath(await mkdtemp(join(tmpdir(), "ah-up-")));
  paths = homePaths(home);
  ports = await freePorts(4);
  const [postgres = 0, s3 = 0, browser = 0, mailWeb = 0] = ports;
  await writeRecord(paths, {
    driver: "embedded",
    ports: { postgres, s3, s3Console: 1, browser, mailWeb, mailSmtp: 1 },
    startedAt: "2026-01-01T00:00:00.000Z",
    settings: {},
  });
  infra = {
    ...sampleInfra,
    postgres: { ...sampleInfra.postgres, port: postgres },
    s3: { ...sampleInfra.s3, port: s3 },
    browser: { ...sampleInfra.browser, port: browser },
    mail: { ...sampleInfra.mail, webUrl: `http://localhost:${mailWeb}` },
  };
  await mkdir(paths.pm2);
});
afterEach(async () => {
  for (const server of servers.splice(0)) if (server.listening) await close(server);
  await rm(home, { recursive: true });
});

const listenAll = (): Promise<Server[]> => Promise.all(ports.map((port, at) => listen(port, words[at])));

it("says yes only when every service says its first word and the PM2 daemon is there", async () => {
  const [first] = await listenAll();
  expect(await infraIsUp(paths, infra)).toBe(false);
  await listen(join(paths.pm2, "rpc.sock"));
  expect(await infraIsUp(paths, infra)).toBe(true);
  await close(first);
  expect(await infraIsUp(paths, infra)).toBe(false);
});

it("says no to what is starting up, and to a port that takes connections for nobody", async () => {
  await listen(join(paths.pm2, "rpc.sock"));
  const [postgres, s3, , mail] = await listenAll();
  expect(await infraIsUp(paths, infra)).toBe(true);
  await close(postgres);
  const starting = await listen(ports[0] ?? 0, "E\0\0\0SFATAL\0C57P03");
  expect(await infraIsUp(paths, infra)).toBe(false);
  await close(starting);
  await listen(ports[0] ?? 0, words[0]);
  await close(s3);
  const minio = await listen(ports[1] ?? 0, "HTTP/1.1 503 Service Unavailable\r\n");
  expect(await infraIsUp(paths, infra)).toBe(false);
  await close(minio);
  await listen(ports[1] ?? 0, words[1]);
  expect(await infraIsUp(paths, infra)).toBe(true);
  // As Docker does for a container in which nobody listens yet.
  await close(mail);
  const proxy = await listen(ports[3] ?? 0);
  proxy.on("connection", (socket) => socket.end());
  expect(await infraIsUp(paths, infra)).toBe(false);
});

it("never binds a port: a service that is starting may want it, and another look would find it taken", async () => {
  await listen(join(paths.pm2, "rpc.sock"));
  const listens = vi.spyOn(Server.prototype, "listen");
  const answers = await Promise.all(Array.from({ length: 20 }, () => infraIsUp(paths, infra)));
  expect(answers.filter(Boolean)).toEqual([]);
  expect(listens).not.toHaveBeenCalled();
});
