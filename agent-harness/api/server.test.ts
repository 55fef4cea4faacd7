import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { openTestApi, testToken } from "../testing/api.ts";
import { listenersOn } from "../testing/listening.ts";
import { until } from "../testing/until.ts";

test("it listens on loopback only, and refuses to listen elsewhere", async () => {
  const { api } = await openTestApi();
  expect(await listenersOn([api.port])).toEqual([{ port: api.port, loopback: true }]);
  for (const host of ["0.0.0.0", "::", "192.168.1.1", "example.org"]) {
    await expect(openTestApi({ host })).rejects.toThrow("it listens on loopback only");
  }
});

test("a port that is taken is named", async () => {
  const { api } = await openTestApi();
  await expect(openTestApi({ port: api.port })).rejects.toMatchObject({
    code: "PORT_TAKEN",
    message: `Port ${api.port} of 127.0.0.1 is in use.`,
  });
});

test("a request that is under way is answered before the server has stopped; a new one is not taken", async () => {
  const { api, ask, sessions } = await openTestApi();
  let answer: (() => void) | undefined;
  sessions.listProjects = () =>
    new Promise((resolve) => {
      answer = () => resolve([]);
    });
  const slow = ask("GET", "/projects");
  const finish = await until("it is under way", () => answer);
  let stopped = false;
  const stopping = api.stop().then(() => {
    stopped = true;
  });
  await until("no new one is taken", async () => {
    const socket = connect(api.port, "127.0.0.1");
    const [refused] = await Promise.race([once(socket, "connect").then(() => [false]), once(socket, "error")]).catch(
      () => [true],
    );
    socket.destroy();
    return refused !== false;
  });
  expect(stopped).toBe(false);
  finish();
  expect(await slow).toMatchObject({ status: 200, json: { projects: [] } });
  await stopping;
});

test("a connection on which nothing was ever asked does not keep it", async () => {
  const { api, ask } = await openTestApi({ stopLimitMs: 60_000 });
  const silent = connect(api.port, "127.0.0.1");
  await once(silent, "connect");
  // Its answer is after the silent connection was taken.
  await ask("GET", "/health");
  await api.stop();
  silent.destroy();
});

test("one that hangs does not keep it for long", async () => {
  const { api, sessions } = await openTestApi({ stopLimitMs: 50 });
  let called = false;
  sessions.listProjects = () => {
    called = true;
    return new Promise(() => undefined);
  };
  const headers = { authorization: `Bearer ${testToken}` };
  const hanging = request({ host: "127.0.0.1", port: api.port, path: "/api/v1/projects", headers, agent: false });
  const failed = once(hanging, "error");
  hanging.end();
  await until("it hangs", () => called);
  await api.stop();
  expect(await failed).toMatchObject([{ code: "ECONNRESET" }]);
  expect(await listenersOn([api.port])).toEqual([]);
});
