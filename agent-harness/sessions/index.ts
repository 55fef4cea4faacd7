/** The door of sessions/: coding agents that run, what they ask and say, and who is told. */

export type { AgentView, HarnessClient, ProjectView, StreamItem, StreamRequest } from "./dispatch/client.ts";
export {
  type DispatchRequest,
  type GivenInput,
  type GivenInputs,
  type InputName,
  readRequest,
} from "./dispatch/inputs.ts";
export { openRunRecord, type ReceiverAddress } from "./dispatch/record.ts";
export { type DispatchReport, reportOfRefusal } from "./dispatch/report.ts";
export { dispatch, type HintSource } from "./dispatch.ts";
export { openSessions } from "./open-sessions.ts";
export {
  answer,
  pending,
  providerNames,
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
  ReadMessage,
  Session,
  Sessions,
} from "./sessions.ts";
export { tmuxAvailable } from "./tmux.ts";
export { webhookEvents } from "./webhook-delivery.ts";
export { type DeliveryQueue, openWebhooks, type Webhooks } from "./webhooks.ts";
