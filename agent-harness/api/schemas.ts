import { z } from "@hono/zod-openapi";
import { providerNames, runWays, sessionStatuses } from "../sessions/index.ts";

/* The words that requests and responses share. From these schemas requests are checked and /openapi.json is made. */

/** A text that has something in it. */
export const text = z.string().min(1);

/** A text of a pattern; whatever else is given, or nothing, what it is like is said. */
const textLike = (pattern: RegExp, rule: string) =>
  z.string({ error: ({ input }) => (input === undefined ? `is missing; ${rule}` : rule) }).regex(pattern, rule);

export const projectName = textLike(
  /^[a-zA-Z0-9_-]{1,64}$/,
  "a project's name is 1 to 64 letters, digits, _ and -",
).openapi({ example: "shop" });

export const agentName = textLike(
  /^[a-z0-9-]{3,40}$/,
  "an agent's name is 3 to 40 small letters, digits and -",
).openapi({ example: "codex-brave-otter" });

export const provider = z.enum(providerNames);

export const runIn = z.enum(runWays).openapi({ description: "in the terminal of a tmux window, or without one" });

export const status = z.enum(sessionStatuses);

/** A whole number between two. */
function wholeNumber(min: number, max: number) {
  const rule = `takes a whole number from ${min} to ${max}`;
  return z.int(rule).min(min, rule).max(max, rule);
}

export const stackId = wholeNumber(1, 99).openapi({ description: "the agent id of a launched stack" });

/** When, ISO 8601. */
export const time = z.iso.datetime().openapi({ example: "2026-01-02T03:04:05.678Z" });

export const eventId = textLike(/^evt-\d{1,15}$/, "an event's id is evt-<number>, such as evt-0").openapi({
  example: "evt-17",
});

/** A target of webhooks, as it is given. */
export const callback = z.object({
  url: z.url(),
  token: text.optional().openapi({ description: "sent as Authorization: Bearer; never shown again" }),
  discordChannel: text.optional(),
  sessionKey: text.optional(),
  extra: z.record(z.string(), z.unknown()).optional(),
});

/** The same, as it is shown: the token is left out. */
export const shownCallback = callback.omit({ token: true });

/** Every error, on every path. */
export const errorEnvelope = z.object({
  error: z.string().openapi({ example: "AGENT_NOT_FOUND", description: "a permanent code; docs/errors.md lists them" }),
  message: z.string(),
  hint: z.string().optional().openapi({ description: "what to do next" }),
  leftBehind: z.string().optional(),
});

/** A whole number out of a query. */
export function count(min: number, max: number) {
  const rule = `takes a whole number from ${min} to ${max}`;
  return textLike(/^\d{1,9}$/, rule)
    .transform(Number)
    .pipe(wholeNumber(min, max))
    .openapi({ type: "integer", minimum: min, maximum: max });
}

/** `?compact=1` or `true`: an answer with the few fields that a program polls for. */
export const compactQuery = z.object({
  compact: z.string().optional().openapi({ description: "1 or true: only a few fields" }),
});
