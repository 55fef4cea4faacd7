import { expect, test } from "vitest";
import { openTestApi } from "../testing/api.ts";
import { oneProject, projectList, projectWithAgents } from "./schemas-project.ts";

const shop = { name: "shop", cwd: "/work/shop" };

test("a project is created, listed, shown, changed and deleted", async () => {
  const { ask, sessions } = await openTestApi();
  const callback = { url: "http://127.0.0.1:9/hook", token: "geheim", sessionKey: "k", extra: { a: [1] } };
  const created = await ask("POST", "/projects", { json: { ...shop, stack: 3, callback } });
  const shown = {
    ...shop,
    stack: 3,
    tmuxSession: "",
    agentCount: 0,
    createdAt: "1970-01-01T00:00:00.000Z",
    callback: { url: "http://127.0.0.1:9/hook", sessionKey: "k", extra: { a: [1] } },
  };
  expect(created).toMatchObject({ status: 201, json: { project: shown } });
  oneProject.strict().parse(created.json);
  expect(created.text).not.toContain("geheim");
  expect(sessions.calls[0]).toEqual(["createProject", { ...shop, stack: 3, callback }]);

  await sessions.create("shop", { provider: "codex", task: "t" });
  const list = await ask("GET", "/projects");
  expect(list.json).toEqual({ projects: [{ ...shown, agentCount: 1 }] });
  projectList.strict().parse(list.json);
  const one = await ask("GET", "/projects/shop");
  const agent = {
    id: "codex-brave-otter",
    provider: "codex",
    status: "processing",
    tmuxTarget: "codex-brave-otter:agent",
    lastActivity: "1970-01-01T00:00:01.000Z",
  };
  expect(one.json).toEqual({ project: { ...shown, agentCount: 1 }, agents: [agent] });
  projectWithAgents.strict().parse(one.json);
  const pending = { id: "p", kind: "permission" as const, title: "rm -rf build", options: [], input: {} };
  sessions.change(agent.id, { status: "waiting_input", pending });
  expect((await ask("GET", "/projects/shop")).json).toMatchObject({ agents: [{ waitsFor: "rm -rf build" }] });

  const changed = await ask("PATCH", "/projects/shop", { json: { cwd: "/elsewhere", callback: null } });
  const { callback: _, ...bare } = shown;
  expect(changed).toMatchObject({ status: 200 });
  expect(changed.json).toEqual({ project: { ...bare, cwd: "/elsewhere", agentCount: 1 } });
  expect(sessions.calls).toContainEqual(["changeProject", "shop", { cwd: "/elsewhere", callback: null }]);

  expect(await ask("DELETE", "/projects/shop")).toMatchObject({ status: 204, text: "" });
  expect(await ask("GET", "/projects/shop")).toMatchObject({ status: 404, json: { error: "PROJECT_NOT_FOUND" } });
});

test("a body counts as JSON whatever its content type is", async () => {
  const { ask } = await openTestApi();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  expect(await ask("POST", "/projects", { json: shop, headers })).toMatchObject({ status: 201 });
});

test("a name that is taken is a conflict", async () => {
  const { ask } = await openTestApi();
  await ask("POST", "/projects", { json: shop });
  expect(await ask("POST", "/projects", { json: shop })).toMatchObject({
    status: 409,
    json: { error: "PROJECT_EXISTS" },
  });
});

test.each([
  [{ cwd: "/" }, "body.name: "],
  [{ name: "a b", cwd: "/" }, "body.name: a project's name is 1 to 64 letters, digits, _ and -"],
  [{ name: "x".repeat(65), cwd: "/" }, "body.name: a project's name"],
  [{ name: "a" }, "body.cwd: "],
  [{ name: "a", cwd: "" }, "body.cwd: "],
  [{ name: "a", cwd: "/", stack: 0 }, "body.stack: "],
  [{ name: "a", cwd: "/", stack: "3" }, "body.stack: "],
  [{ name: "a", cwd: "/", callback: { url: "no" } }, "body.callback.url: "],
  [{ name: "a", cwd: "/", callback: { url: "file:///etc/passwd" } }, "an http or https URL"],
  [{ name: "a", cwd: "/", callback: { url: "http://10.0.0.1/" } }, "private address"],
  [{ name: "", cwd: 3 }, "; body.cwd: "],
])("%j creates nothing", async (json, message) => {
  const { ask, sessions } = await openTestApi();
  expect(await ask("POST", "/projects", { json })).toMatchObject({
    status: 400,
    json: { error: "INVALID_REQUEST", message: expect.stringContaining(message) },
  });
  expect(sessions.calls).toEqual([]);
});

test("a change of nothing, or to a private callback, is refused", async () => {
  const { ask, sessions } = await openTestApi();
  for (const json of [{}, { name: "other" }, { callback: { url: "http://169.254.169.254/" } }]) {
    expect(await ask("PATCH", "/projects/shop", { json })).toMatchObject({
      status: 400,
      json: { error: "INVALID_REQUEST" },
    });
  }
  expect(sessions.calls).toEqual([]);
});
