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

const listen = (where: number | string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.on("error", () => undefined).resume());
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
  const [postgres = 0, s3 = 0, browser = 0, mailSmtp = 0] = ports;
  await writeRecord(paths, {
    driver: "embedded",
    ports: { postgres, s3, s3Console: 1, browser, mailWeb: 1, mailSmtp },
    startedAt: "2026-01-01T00:00:00.000Z",
    settings: {},
  });
  infra = {
    ...sampleInfra,
    postgres: { ...sampleInfra.postgres, port: postgres },
    s3: { ...sampleInfra.s3, port: s3 },
    browser: { ...sampleInfra.browser, port: browser },
    mail: { ...sampleInfra.mail, smtpPort: mailSmtp },
  };
  await mkdir(paths.pm2);
});
afterEach(async () => {
  for (const server of servers.splice(0)) if (server.listening) await close(server);
  await rm(home, { recursive: true });
});

it("says yes only when every service takes connections and the PM2 daemon is there", async () => {
  const [first] = await Promise.all(ports.map(listen));
  expect(await infraIsUp(paths, infra)).toBe(false);
  await listen(join(paths.pm2, "rpc.sock"));
  expect(await infraIsUp(paths, infra)).toBe(true);
  await close(first);
  expect(await infraIsUp(paths, infra)).toBe(false);
});

it("never binds a port: a service that is starting may want it, and another look would find it taken", async () => {
  await listen(join(paths.pm2, "rpc.sock"));
  const listens = vi.spyOn(Server.prototype, "listen");
  const answers = await Promise.all(Array.from({ length: 20 }, () => infraIsUp(paths, infra)));
  expect(answers.filter(Boolean)).toEqual([]);
  expect(listens).not.toHaveBeenCalled();
});
