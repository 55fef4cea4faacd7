/** The door of sessions/: coding agents that run, what they ask and say, and who is told. */
export { type OpenSessionsOptions, openSessions } from "./open-sessions.ts";
export {
  type Answer,
  answer,
  isTerminal,
  type Pending,
  type ProviderName,
  pending,
  providerNames,
  type RunWay,
  runWays,
  type SessionMessage,
  type SessionStatus,
  sessionStatuses,
} from "./session.ts";
export type {
  Callback,
  CreateSession,
  Messages,
  MessagesQuery,
  Project,
  Session,
  Sessions,
  Subscription,
} from "./sessions.ts";
export {
  deliveryIdOf,
  type MachineWebhook,
  planDelivery,
  type WebhookEvent,
  webhookEvents,
} from "./webhook-delivery.ts";
export { type DeliveryQueue, openWebhooks, type Webhooks } from "./webhooks.ts";
