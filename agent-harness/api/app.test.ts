import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { HarnessError } from "../shared/errors.ts";
import { openTestApi, testToken } from "../testing/api.ts";

const envelope = (error: string, message: unknown = expect.any(String)) => expect.objectContaining({ error, message });

/** A request with headers that fetch does not let through. */
async function raw(port: number, headers: Record<string, string>, path = "/api/v1/health", method = "GET") {
  const asked = request({ host: "127.0.0.1", port, path, method, headers, agent: false });
  asked.end();
  const [response] = (await once(asked, "response")) as [import("node:http").IncomingMessage];
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += String(part);
  return { status: response.statusCode, json: text === "" ? undefined : (JSON.parse(text) as unknown) };
}

describe("the token", () => {
  test.each([
    [undefined, "Missing bearer token"],
    ["", "Invalid bearer token"],
    ["Bearer", "Invalid bearer token"],
    ["Bearer wrong", "Invalid bearer token"],
    [`Bearer ${testToken}x`, "Invalid bearer token"],
    [`Basic ${testToken}`, "Invalid bearer token"],
    [testToken, "Invalid bearer token"],
  ])("the header %j is refused", async (authorization, message) => {
    const { url } = await openTestApi();
    for (const path of ["/projects", "/no-such-route", "/openapi.json", "/projects/p/agents/a/events"]) {
      const response = await fetch(url + path, authorization === undefined ? {} : { headers: { authorization } });
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect(await response.json()).toEqual(envelope("UNAUTHORIZED", message));
    }
  });

  test.each(["Bearer", "bearer", "BEARER", "Bearer "])("the scheme %j is understood", async (scheme) => {
    const { url } = await openTestApi();
    const response = await fetch(`${url}/projects`, { headers: { authorization: `${scheme} ${testToken}` } });
    expect(response.status).toBe(200);
  });

  test("health needs none", async () => {
    const { url } = await openTestApi();
    const response = await fetch(`${url}/health`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      uptime: expect.any(Number),
      projects: 0,
      agents: 0,
      tmuxAvailable: true,
      version: "1.2.3",
      store: "ok",
    });
  });
});

test("health lives on while the store is away, and says so", async () => {
  const { ask, sessions } = await openTestApi();
  await sessions.createProject({ name: "shop", cwd: "/" });
  await ask("GET", "/health");
  sessions.trouble = new HarnessError("POSTGRES_UNAVAILABLE", "gone");
  expect(await ask("GET", "/health")).toMatchObject({ status: 200, json: { projects: 1, store: "unavailable" } });
});

test("health waits for no store that hangs", async () => {
  const { ask, sessions } = await openTestApi();
  sessions.listProjects = () => new Promise(() => undefined);
  expect(await ask("GET", "/health")).toMatchObject({ status: 200, json: { store: "unavailable" } });
});

describe("who may ask", () => {
  test.each(["evil.example", "evil.example:7070", "127.0.0.1.evil.example", "192.168.0.1", "[::2]"])(
    "a request to the name %j is refused",
    async (host) => {
      const { api } = await openTestApi();
      expect(await raw(api.port, { host })).toMatchObject({ status: 403, json: { error: "HOST_FORBIDDEN" } });
    },
  );

  test.each(["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:7070"])("one to %j is not", async (host) => {
    const { api } = await openTestApi();
    expect(await raw(api.port, { host })).toMatchObject({ status: 200 });
  });

  test("a page of another origin is refused, our own is not", async () => {
    const { api } = await openTestApi();
    const host = `localhost:${api.port}`;
    for (const origin of ["https://evil.example", "http://localhost:3000", "null", `https://${host}`]) {
      expect(await raw(api.port, { host, origin })).toMatchObject({ status: 403, json: { error: "HOST_FORBIDDEN" } });
    }
    expect(await raw(api.port, { host, origin: `http://${host}` })).toMatchObject({ status: 200 });
  });

  test("no answer lets a page of another origin read it", async () => {
    const { ask } = await openTestApi();
    const { headers } = await ask("GET", "/projects");
    expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  });
});

describe("every error has the envelope", () => {
  test("an unknown route", async () => {
    const { api, ask } = await openTestApi();
    expect(await ask("GET", "/nothing")).toMatchObject({ status: 404, json: envelope("NOT_FOUND") });
    expect(await (await fetch(`${api.url}/nothing`)).json()).toEqual(envelope("NOT_FOUND"));
    expect(await ask("GET", "/projects/a/b/c/d/e/f")).toMatchObject({ status: 404, json: envelope("NOT_FOUND") });
  });

  test.each([
    ["PUT", "/projects", "POST, GET"],
    ["DELETE", "/health", "GET"],
    ["OPTIONS", "/projects/p/agents/a/input", "POST"],
    ["GET", "/projects/p/agents/a/abort", "POST"],
  ])("the method %s of %s", async (method, path, allow) => {
    const { ask } = await openTestApi();
    const answer = await ask(method, path);
    expect(answer).toMatchObject({ status: 405, json: envelope("METHOD_NOT_ALLOWED") });
    expect(answer.headers.get("allow")).toBe(allow);
  });

  test.each([
    ["{", "The body is no JSON"],
    ["", "The body is missing"],
    ["[]", "body: "],
    ['"text"', "body: "],
    ["null", "body: "],
    ["[".repeat(200_000), "The body is no JSON"],
    ['{"name":"a\\u0000b","cwd":"/"}', "a character that no text can hold"],
    ['{"name":"ab","cwd":"/\\ud800"}', "a character that no text can hold"],
  ])("a body that is none, number %#", async (body, message) => {
    const { ask } = await openTestApi();
    const answer = await ask("POST", "/projects", { body });
    expect(answer).toMatchObject({ status: 400, json: envelope("INVALID_REQUEST", expect.stringContaining(message)) });
  });

  test("a body that is too large, with and without its length", async () => {
    const { url, ask, sessions } = await openTestApi();
    const body = JSON.stringify({ name: "shop", cwd: "x".repeat(1024 * 1024) });
    const wanted = { status: 413, json: envelope("BODY_TOO_LARGE") };
    expect(await ask("POST", "/projects", { body })).toMatchObject(wanted);
    const stream = new Blob([body]).stream();
    const headers = { authorization: `Bearer ${testToken}` };
    const streamed = await fetch(`${url}/projects`, {
      method: "POST",
      headers,
      body: stream,
      duplex: "half",
    } as RequestInit);
    expect(streamed.status).toBe(413);
    expect(await streamed.json()).toEqual(envelope("BODY_TOO_LARGE"));
    expect(sessions.calls).toEqual([]);
  });

  test("what is no HTTP, and headers that are too long", async () => {
    const { api } = await openTestApi();
    for (const sent of ["NONSENSE\r\n\r\n", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`]) {
      const socket = connect(api.port, "127.0.0.1");
      socket.write(sent);
      let text = "";
      for await (const part of socket.setEncoding("utf8")) text += String(part);
      const [head = "", body = ""] = text.split("\r\n\r\n");
      expect(head).toContain("400 Bad Request");
      expect(JSON.parse(body)).toEqual(envelope("INVALID_REQUEST"));
    }
  });

  test("a bug, which is also reported", async () => {
    const { ask, sessions, reported } = await openTestApi();
    sessions.trouble = new TypeError("x is undefined");
    expect(await ask("GET", "/projects")).toMatchObject({
      status: 500,
      json: { error: "INTERNAL_ERROR", message: "x is undefined" },
    });
    expect(reported).toEqual([sessions.trouble]);
  });

  test("what the floors throw, with its hint and what it left behind", async () => {
    const { ask, sessions, reported } = await openTestApi();
    for (const [code, status] of [
      ["TMUX_ERROR", 500],
      ["POSTGRES_UNAVAILABLE", 503],
      ["NAME_CONFLICT", 409],
      ["STACK_NOT_LAUNCHED", 409],
    ] as const) {
      sessions.trouble = new HarnessError(code, "what happened", { hint: "do this", leftBehind: "that" });
      expect(await ask("GET", "/projects")).toMatchObject({
        status,
        json: { error: code, message: "what happened", hint: "do this", leftBehind: "that" },
      });
    }
    expect(reported).toEqual([]);
  });

  test("names that nothing can have", async () => {
    const { ask, sessions } = await openTestApi();
    await sessions.createProject({ name: "shop", cwd: "/" });
    for (const name of ["a%20b", "%00", "%", "..%2f..", "x".repeat(65)]) {
      const answer = await ask("GET", `/projects/${name}`);
      expect(answer).toMatchObject({ status: 404, json: envelope("PROJECT_NOT_FOUND") });
      const agent = await ask("GET", `/projects/shop/agents/${name}`);
      expect(agent).toMatchObject({ status: 404, json: envelope("AGENT_NOT_FOUND") });
    }
  });
});

test("the page for people holds no data, runs only its own script, and needs no token", async () => {
  const { api } = await openTestApi();
  for (const [path, type] of [
    ["/inspect", "text/html"],
    ["/inspect.js", "text/javascript"],
    ["/inspect-parts.js", "text/javascript"],
    ["/inspect.css", "text/css"],
  ]) {
    const response = await fetch(api.url + path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain(type);
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'");
    expect(await response.text()).not.toContain(testToken);
  }
});

test("who comes without a path is told where the page and the API are", async () => {
  const { api } = await openTestApi();
  const page = await fetch(`${api.url}/`, { headers: { accept: "text/html,*/*" } });
  expect(page.headers.get("content-type")).toContain("text/html");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  const text = await page.text();
  for (const place of ['href="/inspect"', "/api/v1", "/api/v1/openapi.json"]) expect(text).toContain(place);
  expect(await (await fetch(`${api.url}/`)).json()).toEqual({
    page: "/inspect",
    api: "/api/v1",
    document: "/api/v1/openapi.json",
    health: "/api/v1/health",
  });
});
