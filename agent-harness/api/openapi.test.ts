import { expect, test } from "vitest";
import { openTestApi } from "../testing/api.ts";

interface Operation {
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean; schema: Record<string, unknown> }[];
  requestBody?: { content: Record<string, { schema: Record<string, unknown> }> };
  responses: Record<string, { content?: Record<string, unknown> }>;
}

interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, { properties: Record<string, unknown> }> };
}

async function read(): Promise<Document> {
  const { ask } = await openTestApi();
  const answer = await ask("GET", "/openapi.json");
  expect(answer.status).toBe(200);
  return answer.json as Document;
}

test("the document has every route of the API and no other", async () => {
  const { openapi, paths } = await read();
  expect(openapi).toBe("3.1.0");
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const agent = "/projects/{name}/agents/{id}";
  expect(routes.sort()).toEqual(
    [
      "GET /health",
      "GET /subscriptions",
      "POST /projects",
      "GET /projects",
      "GET /projects/{name}",
      "PATCH /projects/{name}",
      "DELETE /projects/{name}",
      "POST /projects/{name}/agents",
      "GET /projects/{name}/agents",
      `GET ${agent}`,
      `DELETE ${agent}`,
      `GET ${agent}/debug`,
      `POST ${agent}/input`,
      `POST ${agent}/respond`,
      `POST ${agent}/abort`,
      `GET ${agent}/output`,
      `GET ${agent}/messages`,
      `GET ${agent}/messages/last`,
      `GET ${agent}/events`,
      "GET /projects/{name}/events",
      "GET /events",
      "GET /webhook/status",
      "POST /webhook/test",
      "POST /webhook/probe-receiver",
    ].sort(),
  );
});

test("what is checked is what is described", async () => {
  const { paths, components } = await read();
  const create = paths["/projects/{name}/agents"]?.["post"];
  const names = create?.parameters?.map(({ in: where, name, required }) => `${where} ${name} ${required}`);
  expect(names?.sort()).toEqual(["header Idempotency-Key false", "path name true", "query compact false"]);
  expect(create?.requestBody?.content["application/json"]?.schema).toMatchObject({
    required: ["provider", "task"],
    properties: {
      provider: { enum: ["claude-code", "codex", "opencode", "pi"] },
      name: { pattern: "^[a-z0-9-]{3,40}$" },
      runIn: { enum: ["tmux", "headless"] },
      stack: { type: "integer", minimum: 1, maximum: 99 },
    },
  });
  const lines = paths["/projects/{name}/agents/{id}/output"]?.["get"]?.parameters?.find(({ name }) => name === "lines");
  expect(lines?.schema).toMatchObject({ type: "integer", minimum: 1, maximum: 10_000 });
  expect(paths["/health"]?.["get"]?.security).toEqual([]);
  expect(paths["/projects"]?.["get"]?.security).toBeUndefined();
  expect(Object.keys(components.schemas["Agent"]?.properties ?? {})).toContain("pending");
  const answers = paths["/projects/{name}/agents/{id}/respond"]?.["post"]?.requestBody?.content["application/json"];
  expect(answers?.schema).toMatchObject({
    required: ["pendingId"],
    properties: {
      decision: { enum: ["allow", "allow_always", "deny"] },
      answers: { type: "object", description: expect.stringContaining("`pending.questions`") },
    },
  });
  expect(components.schemas["Agent"]?.properties["pending"]).toMatchObject({
    properties: {
      questions: {
        type: "array",
        items: {
          required: ["id", "question", "options", "multiSelect", "freeText", "required"],
          properties: { id: { description: expect.stringContaining("the key of its answer") } },
        },
      },
    },
  });
  for (const operation of Object.values(paths).flatMap((one) => Object.values(one))) {
    expect(operation.responses["default"]?.content).toHaveProperty("application/json");
  }
  expect(paths["/projects/{name}/events"]?.["get"]?.responses["200"]?.content).toHaveProperty("text/event-stream");
});
