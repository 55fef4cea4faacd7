import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { EventFilter } from "../store/index.ts";
import { eventIdText } from "./json.ts";
import type { ApiParts } from "./parts.ts";
import { addRoute, type KnownRoute } from "./route.ts";
import { eventId } from "./schemas.ts";
import { streamOf } from "./sse.ts";
import { checked } from "./validation.ts";

const query = z.object({
  since: eventId.optional().openapi({ description: "events after this one, then new ones; evt-0 is everything kept" }),
});

const answer = {
  status: 200,
  type: "text/event-stream",
  schema: z.string(),
  description:
    "Frames with `id: evt-N`, `event: <type>` and the event's JSON as `data`. `heartbeat` comes every 15 s without news, " +
    "`stream_gap {from, to, reason}` where events are missing: the stream goes on after `to`. Last-Event-ID counts like `since`.",
} as const;

/** Routes on which events are followed as they come. */
export function addEventRoutes(app: OpenAPIHono, parts: ApiParts): KnownRoute[] {
  const { sessions } = parts;
  return [
    addRoute(app, {
      method: "get",
      path: "/events",
      summary: "Follows the events of every project",
      query,
      answer,
      run: async ({ query: { since }, c }) => await follow(parts, {}, since, c),
    }),
    addRoute(app, {
      method: "get",
      path: "/projects/{name}/events",
      summary: "Follows the events of a project",
      query,
      answer,
      run: async ({ params: { name }, query: { since }, c }) => {
        await sessions.getProject(name);
        return await follow(parts, { project: name }, since, c);
      },
    }),
    addRoute(app, {
      method: "get",
      path: "/projects/{name}/agents/{id}/events",
      summary: "Follows the events of an agent",
      query,
      answer,
      run: async ({ params: { name, id }, query: { since }, c }) => {
        await sessions.get(name, id);
        return await follow(parts, { project: name, agentId: id }, since, c);
      },
    }),
  ];
}

async function follow(parts: ApiParts, filter: EventFilter, since: string | undefined, c: Context): Promise<Response> {
  // Fixed before the answer begins: what happens after the client has the headers reaches it, whenever the feed is opened.
  const from = sinceOf(since, c.req.header("last-event-id")) ?? (await parts.events.head());
  const body = streamOf((signal) => parts.events.subscribe(filter, { since: from, signal }), {
    filter,
    since: from,
    heartbeatMs: parts.heartbeatMs,
    stopping: parts.stopping,
    report: parts.report,
    greeting: `events after ${eventIdText(from)}`,
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      // For a proxy between: nothing is to be collected.
      "x-accel-buffering": "no",
    },
  });
}

/** Where to begin: a browser that comes back sends both, and its Last-Event-ID is the newer one. */
function sinceOf(since: string | undefined, last: string | undefined): number | undefined {
  if (last !== undefined && last !== "") checked("Last-Event-ID", eventId, last);
  const ids = [since, last].filter((one) => one !== undefined && one !== "").map((one) => Number(one?.slice(4)));
  return ids.length === 0 ? undefined : Math.max(...ids);
}
