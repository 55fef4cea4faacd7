import { z } from "@hono/zod-openapi";
import { answer, pending } from "../sessions/index.ts";
import {
  agentName,
  callback,
  eventId,
  provider,
  runIn,
  shownCallback,
  stackId,
  status,
  text,
  time,
} from "./schemas.ts";

/* What routes about agents take and give; an agent is what the rest of the program calls a session. */

export const newAgent = z.object({
  provider,
  task: text,
  name: agentName.optional().openapi({ description: "its id; made up as <provider>-<adjective>-<noun> without it" }),
  model: text.optional(),
  subscription: text.optional().openapi({ description: "a credential profile; GET /subscriptions lists them" }),
  runIn: runIn.optional(),
  stack: stackId.optional(),
  permissions: z.enum(["ask", "edits", "all"]).optional().openapi({ description: "what it may do without asking" }),
  callback: callback.optional(),
});

export const agent = z
  .object({
    id: z.string(),
    project: z.string(),
    provider,
    status,
    reason: z.string().optional().openapi({ description: "why it has this status, where there is something to say" }),
    pending: pending.optional().openapi({ description: "what it waits for; POST …/respond answers it" }),
    brief: z.array(z.string()).openapi({ description: "the first lines of its last messages" }),
    task: z.string(),
    model: z.string().optional(),
    runIn,
    cwd: z.string(),
    stack: stackId.optional(),
    windowName: z.string(),
    tmuxTarget: z.string().openapi({ description: "empty when it runs without tmux" }),
    attachCommand: z.string(),
    subscriptionId: z.string().optional(),
    callback: shownCallback.optional(),
    providerSessionId: z.string().optional(),
    providerSessionFile: z
      .string()
      .optional()
      .openapi({ description: "its session log, where its provider tells of one" }),
    providerRuntimeDir: z
      .string()
      .openapi({ description: "a folder of its own, with what its program has for itself alone" }),
    journal: z.string().openapi({ description: "where everything that its program wrote is kept" }),
    createdAt: time,
    lastActivity: time,
    lastCapturedOutput: z.string(),
  })
  .openapi("Agent");

const { id, tmuxTarget, attachCommand, brief } = agent.shape;

export const createdAgent = z.object({
  agent,
  lastEventId: eventId.openapi({ description: "give it as ?since= to miss nothing" }),
});
export const createdCompactAgent = z.object({
  agent: z.object({ id, status, tmuxTarget, attachCommand }),
  lastEventId: eventId,
});
export const agentList = z.object({ agents: z.array(agent) });
export const compactAgentList = z.object({
  agents: z.array(z.object({ id, provider, status, tmuxTarget, brief })),
});
export const oneAgent = z.object({ agent, status, lastOutput: z.string() });
export const oneCompactAgent = z.object({ agent: z.object({ id, status, tmuxTarget, brief }) });

export const input = z.object({ text });
export const delivered = z.object({ delivered: z.literal(true) });

const [{ shape: decided }, { shape: answered }] = answer.options;

/** An answer to what an agent waits for: a decision for a permission, answers by question for a question. */
export const response = z
  .object({
    pendingId: text.openapi({ description: "the id in the agent's `pending`" }),
    decision: decided.decision.optional().openapi({
      description: "for a permission; allow_always where it is among the options",
    }),
    message: z.string().optional().openapi({ description: "with deny: what the agent is told" }),
    answers: answered.answers.optional().openapi({
      description:
        "for a question: by the `id` of each of `pending.questions` (or its text, its header, its place 1, 2 …) the id of an " +
        "option or a text, and a list of them where `multiSelect` is true. Every question that is `required` has to be answered.",
      example: { "1": "Postgres", "2": ["Login", "Export"] },
    }),
  })
  .refine((given) => (given.decision === undefined) !== (given.answers === undefined), {
    error: `takes either decision (${decided.decision.options.join(", ")}), for a permission, or answers, for a question`,
  });

export const sent = z.object({ sent: z.literal(true) });

export const output = z.object({
  output: z.string(),
  lines: z.int().openapi({ description: "how many these are; fewer than were asked for where they are very long" }),
});

export const message = z
  .object({
    id: z.string(),
    ts: time,
    role: z.enum(["user", "assistant", "system", "developer"]),
    text: z.string(),
    finishReason: z.string().nullable(),
    sourceRecord: z.string().openapi({ description: "where this one was read: protocol, hook or session_log" }),
  })
  .openapi("Message");

const messagesHead = {
  provider,
  source: z.string().openapi({ description: "where the last one was read: protocol, hook or session_log" }),
  lastAssistantMessage: message.nullable(),
  parseErrorCount: z.int(),
  warnings: z.array(z.string()),
};

export const messages = z.object({
  ...messagesHead,
  messages: z.array(message),
  totalMessages: z.int(),
  truncated: z.boolean(),
});
export const lastMessage = z.object(messagesHead);
export const compactLastMessage = z.object({ text: z.string().nullable() });

export const debug = z.object({
  debug: z.object({
    agent,
    events: z.array(z.record(z.string(), z.unknown())),
  }),
});
