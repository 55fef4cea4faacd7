import type { Sessions, Webhooks } from "../sessions/index.ts";
import type { EventLog } from "../store/index.ts";

/** What the routes work with. */
export interface ApiParts {
  sessions: Sessions;
  events: EventLog;
  webhooks: Webhooks;
  /** The bearer token that every request needs but those for health. */
  token: string;
  version: string;
  /** Whether sessions can run in tmux on this machine. */
  tmuxAvailable: () => Promise<boolean>;
  /** Told of what is our fault. */
  report: (error: unknown) => void;
  /** How often an event stream that has no news says that it lives. */
  heartbeatMs: number;
  /** Aborted when the server stops: streams come to their end. */
  stopping: AbortSignal;
}
