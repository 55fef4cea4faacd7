import { createHash } from "node:crypto";
import type { NewDelivery } from "../store/index.ts";
import type { SessionStatus } from "./session.ts";
import type { Callback } from "./sessions.ts";

/* What is posted when a session has come to rest, and to whom. A webhook is a hint: who gets one asks the API what is true. */

/** What a webhook tells. */
export const webhookEvents = ["agent_completed", "agent_error", "agent_exited"] as const;
export type WebhookEvent = (typeof webhookEvents)[number];

/** A status in which a session rests. */
export type RestingStatus = Extract<SessionStatus, "idle" | "error" | "exited">;

const eventOf: Record<RestingStatus, WebhookEvent> = {
  idle: "agent_completed",
  error: "agent_error",
  exited: "agent_exited",
};

/** That a session has come to rest: what the event `agent_terminal_finalized` says. */
export interface RestingNews {
  project: string;
  agentId: string;
  provider: string;
  status: RestingStatus;
  /** ISO 8601. */
  finalizedAt: string;
  /** Why, where that is not a matter of course. */
  reason: string | null;
  lastMessage: string | null;
  deliveryId: string;
}

/** Where the machine wants all its news, whatever project they are of. */
export interface MachineWebhook extends Callback {
  /** Only these; all without it. */
  events?: readonly WebhookEvent[];
}

/** The id of the delivery about one rest of a session; made from what is kept, so that nothing makes a second one. */
export function deliveryIdOf(rest: { project: string; agentId: string; status: string; observedAt: string }): string {
  const parts = [rest.project, rest.agentId, rest.status, rest.observedAt];
  return createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 24);
}

/** The delivery that a session's rest asks for: to its own callback, else its project's, else the machine's; to nobody without any. */
export function planDelivery(
  news: RestingNews,
  targets: {
    session?: Callback | undefined;
    project?: Callback | undefined;
    machine?: MachineWebhook | undefined;
  },
): NewDelivery | undefined {
  const event = eventOf[news.status];
  const machine = targets.machine?.events?.includes(event) === false ? undefined : targets.machine;
  const target = targets.session ?? targets.project ?? machine;
  if (target === undefined) return undefined;
  return {
    id: news.deliveryId,
    event,
    project: news.project,
    agentId: news.agentId,
    url: target.url,
    ...(target.token === undefined ? {} : { token: target.token }),
    body: JSON.stringify(payloadOf(event, news, target)),
  };
}

function payloadOf(event: WebhookEvent, news: RestingNews, target: Callback): Record<string, unknown> {
  const { discordChannel, sessionKey, extra } = target;
  return {
    event,
    project: news.project,
    agentId: news.agentId,
    provider: news.provider,
    status: news.status,
    reason: news.reason,
    lastMessage: news.lastMessage,
    timestamp: news.finalizedAt,
    deliveryId: news.deliveryId,
    ...(discordChannel === undefined ? {} : { discordChannel }),
    ...(sessionKey === undefined ? {} : { sessionKey }),
    ...(extra === undefined ? {} : { extra }),
  };
}

/** The machine's own webhook out of the environment: HARNESS_WEBHOOK_URL, _TOKEN and _EVENTS (names with commas). */
export function machineWebhook(env: Readonly<Record<string, string | undefined>>): MachineWebhook | undefined {
  const url = env["HARNESS_WEBHOOK_URL"];
  if (!url) return undefined;
  const token = env["HARNESS_WEBHOOK_TOKEN"];
  const wanted = env["HARNESS_WEBHOOK_EVENTS"]?.split(",").map((one) => one.trim());
  const events = webhookEvents.filter((one) => wanted?.includes(one));
  return { url, ...(token ? { token } : {}), ...(wanted === undefined ? {} : { events }) };
}
