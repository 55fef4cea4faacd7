import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { MessagesQuery } from "../sessions/index.ts";
import { wantsCompact } from "./agents.ts";
import { messageJson } from "./json.ts";
import type { ApiParts } from "./parts.ts";
import { present } from "./present.ts";
import { addRoute, type KnownRoute } from "./route.ts";
import { compactQuery, count } from "./schemas.ts";
import {
  compactLastMessage,
  delivered,
  input,
  lastMessage,
  messages,
  output,
  response,
  sent,
} from "./schemas-agent.ts";

const path = "/projects/{name}/agents/{id}";

const usualLines = 200;
const usualMessages = 100;

/** Routes by which an agent is told something. */
export function addTellRoutes(app: OpenAPIHono, { sessions }: ApiParts): KnownRoute[] {
  return [
    addRoute(app, {
      method: "post",
      path: `${path}/input`,
      summary: "Gives an agent more to do; one that is busy takes it when its provider lets it",
      body: input,
      idempotent: true,
      answer: { status: 202, description: "it was delivered", schema: delivered },
      run: async ({ params, body, idempotencyKey, c }) => {
        await sessions.input(params.name, params.id, body.text, present({ idempotencyKey }));
        return c.json({ delivered: true }, 202);
      },
    }),
    addRoute(app, {
      method: "post",
      path: `${path}/respond`,
      summary:
        "Answers what an agent waits for; 409 PENDING_STALE when it does not wait for that any more, 400 when an answer fits no question",
      body: response,
      answer: { status: 202, description: "it was delivered", schema: delivered },
      run: async ({ params, body: { pendingId, decision, message, answers = {} }, c }) => {
        const answer = decision === undefined ? { answers } : { decision, ...present({ message }) };
        await sessions.respond(params.name, params.id, pendingId, answer);
        return c.json({ delivered: true }, 202);
      },
    }),
    addRoute(app, {
      method: "post",
      path: `${path}/abort`,
      summary: "Ends an agent's turn and the commands that it started; the agent stays",
      answer: { status: 202, description: "it was told", schema: sent },
      run: async ({ params, c }) => {
        await sessions.abort(params.name, params.id);
        return c.json({ sent: true }, 202);
      },
    }),
  ];
}

/** Routes by which one reads what an agent said. */
export function addReadRoutes(app: OpenAPIHono, { sessions }: ApiParts): KnownRoute[] {
  const head = async (project: string, id: string, query: MessagesQuery) => {
    const [session, found] = await Promise.all([sessions.get(project, id), sessions.messages(project, id, query)]);
    const last = found.last === undefined ? null : messageJson(found.last);
    const warnings = found.parseErrors === 0 ? [] : [`${found.parseErrors} lines could not be understood`];
    return {
      found,
      json: {
        provider: session.provider,
        source: found.source,
        lastAssistantMessage: last,
        parseErrorCount: found.parseErrors,
        warnings,
      },
    };
  };
  return [
    addRoute(app, {
      method: "get",
      path: `${path}/output`,
      summary: "Shows the last lines of an agent's output",
      query: z.object({ lines: count(1, 10_000).optional() }),
      answer: { status: 200, description: "the output", schema: output },
      run: async ({ params, query, c }) =>
        c.json(await sessions.output(params.name, params.id, query.lines ?? usualLines)),
    }),
    addRoute(app, {
      method: "get",
      path: `${path}/messages`,
      summary: "Shows an agent's conversation as its provider keeps it",
      query: z.object({
        limit: count(1, 500).optional(),
        role: z.enum(["all", "user", "assistant", "system", "developer"]).optional(),
      }),
      answer: { status: 200, description: "the messages, oldest first", schema: messages },
      run: async ({ params, query: { limit = usualMessages, role = "all" }, c }) => {
        const { found, json } = await head(params.name, params.id, { limit, role });
        return c.json({
          ...json,
          messages: found.messages.map(messageJson),
          totalMessages: found.total,
          truncated: found.truncated,
        });
      },
    }),
    addRoute(app, {
      method: "get",
      path: `${path}/messages/last`,
      summary: "Shows the last thing that an agent said",
      query: compactQuery,
      answer: { status: 200, description: "the message", schema: lastMessage.or(compactLastMessage) },
      run: async ({ params, query, c }) => {
        const { json } = await head(params.name, params.id, { limit: 1, role: "assistant" });
        return c.json(wantsCompact(c, query) ? { text: json.lastAssistantMessage?.text ?? null } : json);
      },
    }),
  ];
}
