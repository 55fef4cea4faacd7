import { randomUUID } from "node:crypto";
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { type Webhooks, webhookEvents } from "../sessions/index.ts";
import { HarnessError } from "../shared/errors.ts";
import type { Delivery, NewDelivery } from "../store/index.ts";
import type { ApiParts } from "./parts.ts";
import { present } from "./present.ts";
import { addRoute, type KnownRoute } from "./route.ts";
import { text, time } from "./schemas.ts";

const shownDeliveries = 50;

const result = z.object({
  ok: z.boolean(),
  status: z.int().nullable(),
  bodySnippet: z.string().nullable(),
  error: z.string().nullable(),
});

const delivery = z.object({
  deliveryId: z.string(),
  event: z.string(),
  project: z.string(),
  agentId: z.string(),
  url: z.string(),
  state: z.enum(["pending", "delivered", "failed"]),
  createdAt: time,
  nextAt: time.nullable(),
  attempts: z.array(
    z.object({ at: z.string(), status: z.int().nullable(), error: z.string().nullable(), ms: z.number() }),
  ),
});

const status = z.object({
  configured: z.boolean().openapi({ description: "whether the machine has a target of its own" }),
  reason: z.string().optional(),
  status: z.object({
    config: z.object({ url: z.string().nullable(), events: z.array(z.string()) }),
    counts: z.object({ pending: z.int(), delivered: z.int(), failed: z.int() }),
    trouble: z.string().optional(),
    deliveries: z.array(delivery),
  }),
});

const test = z.object({
  event: z.enum(webhookEvents).optional(),
  project: text.optional(),
  agentId: text.optional(),
  provider: text.optional(),
  status: text.optional(),
  lastMessage: z.string().nullable().optional(),
  url: z.url().optional(),
  token: text.optional(),
  discordChannel: text.optional(),
  sessionKey: text.optional(),
  extra: z.record(z.string(), z.unknown()).optional(),
});

const probe = z.object({ baseUrl: z.url().optional() });

/** Routes by which one sees and tries out webhooks. */
export function addWebhookRoutes(app: OpenAPIHono, { webhooks }: ApiParts): KnownRoute[] {
  return [
    addRoute(app, {
      method: "get",
      path: "/webhook/status",
      summary: "Shows where webhooks go and how the last deliveries went",
      answer: { status: 200, description: "the state of webhooks", schema: status },
      run: async ({ c }) => {
        const configured = webhooks.machine !== undefined;
        const reason = configured
          ? {}
          : { reason: "HARNESS_WEBHOOK_URL is not set; callbacks of projects and agents work" };
        return c.json({ configured, ...reason, status: await statusJson(webhooks) });
      },
    }),
    addRoute(app, {
      method: "post",
      path: "/webhook/test",
      summary: "Posts a webhook now, once, and tells what the receiver answered",
      body: test.optional(),
      answer: {
        status: 200,
        description: "how it went",
        schema: z.object({
          ok: z.boolean(),
          result: result.extend({ deliveryId: z.string() }),
          status: status.shape.status,
        }),
      },
      run: async ({ body, c }) => {
        const wanted = testDelivery(webhooks, body ?? {});
        webhooks.requireTarget(wanted.url);
        const told = resultJson(await webhooks.tryOut(wanted));
        return c.json({ ok: told.ok, result: { ...told, deliveryId: wanted.id }, status: await statusJson(webhooks) });
      },
    }),
    addRoute(app, {
      method: "post",
      path: "/webhook/probe-receiver",
      summary: "Asks a receiver whether it is there: GET /health and an empty POST to /harness-webhook",
      body: probe.optional(),
      answer: {
        status: 200,
        description: "what it answered",
        schema: z.object({
          baseUrl: z.string(),
          health: result.extend({ url: z.string() }),
          harnessWebhook: result.extend({ url: z.string() }),
        }),
      },
      run: async ({ body, c }) => {
        const base = (body?.baseUrl ?? new URL(targetOf(webhooks, undefined)).origin).replace(/\/+$/, "");
        webhooks.requireTarget(base);
        const ask = async (url: string, json?: string) => ({ url, ...resultJson(await webhooks.probe(url, json)) });
        const [health, harnessWebhook] = await Promise.all([
          ask(`${base}/health`),
          ask(`${base}/harness-webhook`, "{}"),
        ]);
        return c.json({ baseUrl: base, health, harnessWebhook });
      },
    }),
  ];
}

function targetOf(webhooks: Webhooks, url: string | undefined): string {
  const target = url ?? webhooks.machine?.url;
  if (target !== undefined) return target;
  throw new HarnessError("INVALID_REQUEST", "No webhook is configured, and the request names no URL.", {
    hint: "Give url (baseUrl for a probe), or set HARNESS_WEBHOOK_URL for agent-harness serve.",
  });
}

function testDelivery(webhooks: Webhooks, body: z.output<typeof test>): NewDelivery {
  const { url, token, event = "agent_completed", project = "test", agentId = "test", ...rest } = body;
  const id = `test-${randomUUID()}`;
  const target = targetOf(webhooks, url);
  // The machine's token is for the machine's target.
  const bearer = token ?? (url === undefined ? webhooks.machine?.token : undefined);
  const payload = {
    event,
    project,
    agentId,
    provider: rest.provider ?? "test",
    status: rest.status ?? "idle",
    lastMessage: rest.lastMessage ?? "A test of the webhook.",
    timestamp: new Date().toISOString(),
    deliveryId: id,
    ...present({ discordChannel: rest.discordChannel, sessionKey: rest.sessionKey, extra: rest.extra }),
  };
  return { id, event, project, agentId, url: target, ...present({ token: bearer }), body: JSON.stringify(payload) };
}

function resultJson(one: Awaited<ReturnType<Webhooks["probe"]>>): z.output<typeof result> {
  return { ok: one.ok, status: one.status, bodySnippet: one.text.slice(0, 400) || null, error: one.error };
}

async function statusJson(webhooks: Webhooks): Promise<z.output<typeof status>["status"]> {
  const { machine } = webhooks;
  const [counts, recent] = await Promise.all([webhooks.counts(), webhooks.recent(shownDeliveries)]);
  return {
    config: { url: machine?.url ?? null, events: [...(machine?.events ?? webhookEvents)] },
    counts,
    ...present({ trouble: webhooks.trouble() }),
    deliveries: recent.map(deliveryJson),
  };
}

/** A delivery without its body. */
const deliveryJson = (one: Delivery): z.output<typeof delivery> => ({
  deliveryId: one.id,
  event: one.event,
  project: one.project,
  agentId: one.agentId,
  url: one.url,
  state: one.state,
  createdAt: one.createdAt.toISOString(),
  nextAt: one.state === "pending" ? one.nextAt.toISOString() : null,
  attempts: one.log.map(({ at, ms, status = null, error = null }) => ({ at, status, error, ms })),
});
