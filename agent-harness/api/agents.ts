import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { z } from "zod";
import { agentJson, briefOf, eventIdText, eventJson, forEach, tmuxTargetOf } from "./json.ts";
import type { ApiParts } from "./parts.ts";
import { present } from "./present.ts";
import { addRoute, type KnownRoute } from "./route.ts";
import { compactQuery } from "./schemas.ts";
import {
  agentList,
  compactAgentList,
  createdAgent,
  createdCompactAgent,
  debug,
  newAgent,
  oneAgent,
  oneCompactAgent,
} from "./schemas-agent.ts";

const path = "/projects/{name}/agents";

/** How many of an agent's last events are shown for debugging. */
const debugEvents = 50;

/** Whether few fields are wanted; the answer says which it has. */
export function wantsCompact(c: Context, { compact = "" }: z.output<typeof compactQuery>): boolean {
  const wanted = ["1", "true"].includes(compact.trim().toLowerCase());
  c.header("X-Agent-Harness-Mode", wanted ? "compact" : "full");
  return wanted;
}

/** Routes that create, show and delete agents. */
export function addAgentRoutes(app: OpenAPIHono, parts: ApiParts): KnownRoute[] {
  return [addCreate(app, parts), addList(app, parts), addGet(app, parts), addDebug(app, parts), addDelete(app, parts)];
}

const addCreate = (app: OpenAPIHono, { sessions, webhooks }: ApiParts): KnownRoute =>
  addRoute(app, {
    method: "post",
    path,
    summary: "Starts an agent on a task",
    query: compactQuery,
    body: newAgent,
    idempotent: true,
    answer: { status: 201, description: "the agent", schema: createdAgent.or(createdCompactAgent) },
    run: async ({ params, query, body, idempotencyKey, c }) => {
      if (body.callback !== undefined) webhooks.requireTarget(body.callback.url);
      const wanted = { ...present(body), ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
      const { session, lastEventId } = await sessions.create(params.name, wanted);
      const { id, status, attachCommand } = session;
      const agent = wantsCompact(c, query)
        ? { id, status, tmuxTarget: tmuxTargetOf(session), attachCommand }
        : await agentJson(sessions, session);
      return c.json({ agent, lastEventId: eventIdText(lastEventId) }, 201);
    },
  });

const addList = (app: OpenAPIHono, { sessions }: ApiParts): KnownRoute =>
  addRoute(app, {
    method: "get",
    path,
    summary: "Lists a project's agents",
    query: compactQuery,
    answer: { status: 200, description: "the agents", schema: agentList.or(compactAgentList) },
    run: async ({ params, query, c }) => {
      const all = await sessions.list(params.name);
      if (!wantsCompact(c, query)) return c.json({ agents: await forEach(all, (one) => agentJson(sessions, one)) });
      const agents = await forEach(all, async (one) => ({
        id: one.id,
        provider: one.provider,
        status: one.status,
        tmuxTarget: tmuxTargetOf(one),
        brief: await briefOf(sessions, one),
      }));
      return c.json({ agents });
    },
  });

const addGet = (app: OpenAPIHono, { sessions }: ApiParts): KnownRoute =>
  addRoute(app, {
    method: "get",
    path: `${path}/{id}`,
    summary: "Shows an agent",
    query: compactQuery,
    answer: { status: 200, description: "the agent", schema: oneAgent.or(oneCompactAgent) },
    run: async ({ params, query, c }) => {
      const session = await sessions.get(params.name, params.id);
      const { id, status } = session;
      if (wantsCompact(c, query)) {
        const brief = await briefOf(sessions, session);
        return c.json({ agent: { id, status, tmuxTarget: tmuxTargetOf(session), brief } });
      }
      const agent = await agentJson(sessions, session);
      return c.json({ agent, status, lastOutput: agent.lastCapturedOutput });
    },
  });

const addDebug = (app: OpenAPIHono, { sessions, events }: ApiParts): KnownRoute =>
  addRoute(app, {
    method: "get",
    path: `${path}/{id}/debug`,
    summary: "Shows an agent with its last events and where its journal lies",
    answer: { status: 200, description: "what helps to see what went wrong", schema: debug },
    run: async ({ params, c }) => {
      const session = await sessions.get(params.name, params.id);
      const filter = { project: params.name, agentId: params.id };
      const last = await events.newest(filter, { since: session.createdAt, limit: debugEvents });
      return c.json({ debug: { agent: await agentJson(sessions, session), events: last.map(eventJson) } });
    },
  });

const addDelete = (app: OpenAPIHono, { sessions }: ApiParts): KnownRoute =>
  addRoute(app, {
    method: "delete",
    path: `${path}/{id}`,
    summary: "Ends an agent and everything that it started, and deletes it",
    answer: { status: 204, description: "it is gone" },
    run: async ({ params, c }) => {
      await sessions.delete(params.name, params.id);
      return c.body(null, 204);
    },
  });
