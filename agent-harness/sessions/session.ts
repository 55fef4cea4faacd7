import { z } from "zod";

/* The words of a session: what it is doing, what it asks, what it says. Seed 001 calls a session an "agent". */

/** The coding-agent programs that a session can run. */
export const providerNames = ["claude-code", "codex", "opencode", "pi"] as const;
export type ProviderName = (typeof providerNames)[number];

/** In the terminal of a tmux window, where a person can attach; or without one, over the program's own protocol. */
export const runWays = ["tmux", "headless"] as const;
export type RunWay = (typeof runWays)[number];

/** What a session is doing. The last three are terminal: it waits for nobody, and goes on only with new input. */
export const sessionStatuses = ["starting", "processing", "waiting_input", "idle", "error", "exited"] as const;
export type SessionStatus = (typeof sessionStatuses)[number];

/** Whether a session has come to rest. */
export const isTerminal = (status: SessionStatus): boolean => ["idle", "error", "exited"].includes(status);

/** What told a status: the provider's own protocol, a hook in its program, its session log, the keeper, or us. Never a screen: none is read. */
export const statusSources = ["protocol", "hook", "session_log", "keeper", "manager"] as const;
export type StatusSource = (typeof statusSources)[number];

/** A choice of a question or a permission. */
export const pendingOption = z.object({ id: z.string(), label: z.string(), description: z.string().optional() });

/** A question of something pending, in the same words whichever provider asks. */
export const pendingQuestion = z.object({
  id: z.string().describe("the key of its answer; its text, its header and its place (1, 2 …) are taken as well"),
  header: z.string().optional().describe("a few words for what it is about"),
  question: z.string(),
  options: z.array(pendingOption).describe("an answer is the id of one; empty where any text is an answer"),
  multiSelect: z.boolean().describe("whether a list of several answers is taken"),
  freeText: z.boolean().describe("whether an answer may be a text that is none of the options"),
  required: z.boolean().describe("whether it has to be answered; what asks allows to leave the others out"),
});
export type PendingQuestion = z.output<typeof pendingQuestion>;

/** What a session waits for. It is answered once; after that its id is stale. */
export const pending = z.object({
  id: z.string(),
  kind: z.enum(["permission", "question"]),
  /** One line for a person: the command that would run, the question that is asked. */
  title: z.string(),
  options: z.array(pendingOption),
  questions: z
    .array(pendingQuestion)
    .optional()
    .describe("of the kind question: what is asked; each is answered under a key of its own"),
  /** What the provider gave: the tool and its input, or the questions, as they came. */
  input: z.unknown(),
});
export type Pending = z.output<typeof pending>;

/** An answer to what is pending: a decision for a permission, answers by question for a question. */
export const answer = z.union([
  z.object({ decision: z.enum(["allow", "allow_always", "deny"]), message: z.string().optional() }),
  z.object({ answers: z.record(z.string(), z.union([z.string(), z.array(z.string())])) }),
]);
export type Answer = z.output<typeof answer>;

/** One message of the conversation, as the provider keeps it. */
export interface SessionMessage {
  /** The provider's own id, or one that is the same each time that the journal is read. */
  id: string;
  /** When, in ms since 1970. */
  at: number;
  role: "user" | "assistant" | "system" | "developer";
  text: string;
  finishReason: string | null;
}

/** One thing that a record of a journal tells. Each becomes an event, a change of the session's row, or both. */
export type Update =
  | { type: "status"; status: SessionStatus; source: StatusSource; reason?: string }
  /** It asks: the status becomes `waiting_input` with it. Asked again with the same id, nothing changes. */
  | { type: "pending"; pending: Pending }
  /** It does not ask any more, whoever answered. */
  | { type: "resolved"; pendingId: string }
  | { type: "message"; message: SessionMessage }
  | { type: "output"; text: string }
  | { type: "tool_use"; id: string; tool: string; input: unknown }
  | { type: "tool_result"; id: string; tool: string; output: string; isError: boolean }
  /** What a person should know, and what went wrong; a failed turn also has a status. */
  | { type: "error"; message: string }
  /** What the provider calls this session, with which it can be resumed. */
  | { type: "provider_session"; id: string; file?: string }
  /** A record that the provider's driver does not know: kept, so that a new version of a CLI loses nothing. */
  | { type: "unknown"; raw: unknown };
