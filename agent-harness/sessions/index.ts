/** The door of sessions/: coding agents that run, what they ask and say, and who is told. */

export type { AgentView, HarnessClient, NewAgent, ProjectView, StreamItem, StreamRequest } from "./dispatch/client.ts";
export type { DispatchError } from "./dispatch/error-log.ts";
export {
  type DispatchRequest,
  type GivenInput,
  type GivenInputs,
  type InputName,
  readRequest,
} from "./dispatch/inputs.ts";
export { type DispatchReport, type ReportedAgent, reportOfRefusal } from "./dispatch/report.ts";
export { type DispatchOptions, dispatch, type HintSource } from "./dispatch.ts";
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
export { tmuxAvailable } from "./tmux.ts";
export { webhookEvents } from "./webhook-delivery.ts";
export { type DeliveryQueue, openWebhooks, type Webhooks } from "./webhooks.ts";
