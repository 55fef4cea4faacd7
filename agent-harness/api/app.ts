import { OpenAPIHono } from "@hono/zod-openapi";
import { asHarnessError, HarnessError } from "../shared/errors.ts";
import { addAgentRoutes } from "./agents.ts";
import { errorReply } from "./errors.ts";
import { addEventRoutes } from "./events.ts";
import { guardHost, guardToken } from "./guard.ts";
import { addInspectPage } from "./inspect.ts";
import type { ApiParts } from "./parts.ts";
import { addProjectRoutes } from "./projects.ts";
import { apiPrefix, type KnownRoute } from "./route.ts";
import { addSystemRoutes } from "./system.ts";
import { addReadRoutes, addTellRoutes } from "./talk.ts";
import { addWebhookRoutes } from "./webhooks.ts";

/** The whole API as a program that answers requests; `host` is the address that it is bound to. */
export function buildApp(parts: ApiParts, host: string): OpenAPIHono {
  const app = new OpenAPIHono();
  app.use(guardHost(host));
  app.use(guardToken(parts.token, (path) => path === `${apiPrefix}/health`));
  app.use(async (c, next) => {
    await next();
    c.header("x-content-type-options", "nosniff");
    if (!c.res.headers.has("cache-control")) c.header("cache-control", "no-store");
  });
  const known = [
    ...addSystemRoutes(app, parts),
    ...addProjectRoutes(app, parts),
    ...addAgentRoutes(app, parts),
    ...addTellRoutes(app, parts),
    ...addReadRoutes(app, parts),
    ...addEventRoutes(app, parts),
    ...addWebhookRoutes(app, parts),
  ];
  app.get(`${apiPrefix}/openapi.json`, (c) => c.json(openApiDocument(app, parts.version)));
  addInspectPage(app);
  app.notFound((c) => errorReply(notFound(known, c.req.method, c.req.path)));
  app.onError((error) => {
    if (asHarnessError(error).kind === "bug") parts.report(error);
    return errorReply(error);
  });
  return app;
}

function notFound(known: readonly KnownRoute[], method: string, path: string): HarnessError {
  const allowed = known.filter(({ pattern }) => pattern.test(path)).map((one) => one.method);
  const what = `${method} ${path.slice(0, 200)}`;
  if (allowed.length === 0) {
    return new HarnessError("NOT_FOUND", `There is no route ${what}.`, { hint: `See ${apiPrefix}/openapi.json` });
  }
  const allow = allowed.join(", ");
  return new HarnessError("METHOD_NOT_ALLOWED", `${what} is not possible; ${allow} is.`, { context: { allow } });
}

/** The description of the API, made of the schemas that check its requests. */
export function openApiDocument(app: OpenAPIHono, version: string): ReturnType<OpenAPIHono["getOpenAPI31Document"]> {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "agent-harness", version, description: "Runs coding agents; an agent here is one session of one." },
    servers: [{ url: apiPrefix }],
    security: [{ bearer: [] }],
  });
}
