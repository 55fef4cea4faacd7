import type { Store, StoredSession } from "../store/index.ts";
import { memoryOf } from "./draft.ts";
import { newestEvents } from "./queries.ts";
import type { SessionMessage } from "./session.ts";
import type { Messages, MessagesQuery } from "./sessions.ts";

/* What a session said, for people and for programs; read from what was told by its protocol, never from a screen. */

/** The last lines of what happened, as a person would like to read it. */
export async function readOutput(
  store: Store,
  row: StoredSession,
  lines: number,
): Promise<{ output: string; lines: number }> {
  const events = await newestEvents(store, row, { types: Object.keys(shown), limit: lines });
  const text = events.flatMap(({ type, data }) => (shown[type]?.(data) ?? "").split("\n"));
  const last = text.slice(-lines);
  return { output: last.join("\n"), lines: last.length };
}

const asText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** How each kind of event reads; kinds that are not here are not shown. */
const shown: Record<string, (data: Record<string, unknown>) => string> = {
  input_sent: ({ text }) => `> ${asText(text)}`,
  output: ({ text }) => asText(text),
  tool_use: ({ tool, input }) => `[${asText(tool)}] ${asText(input)}`,
  tool_result: ({ output }) => asText(output),
  permission_requested: ({ description }) => `? ${asText(description)}`,
  question_asked: ({ question }) => `? ${asText(question)}`,
  error: ({ message }) => `! ${asText(message)}`,
  agent_exited: ({ reason }) => `[exited] ${asText(reason)}`,
};

/** The messages of the conversation, the last `limit` of them. */
export async function readMessages(
  store: Store,
  row: StoredSession,
  { limit, role }: MessagesQuery,
): Promise<Messages> {
  const asked = role === undefined || role === "all" ? {} : { role };
  const { messages, total } = await store.messages.list(row.id, {
    ...(limit === undefined ? {} : { limit }),
    ...asked,
  });
  const last = await store.messages.last(row.id, "assistant");
  return {
    messages: messages.map(present),
    last: last && present(last),
    total,
    truncated: messages.length < total,
    source: last?.source ?? messages.at(-1)?.source ?? "protocol",
    parseErrors: memoryOf(row).unknown ?? 0,
  };
}

const present = ({
  id,
  at,
  role,
  text,
  finishReason,
}: Omit<SessionMessage, "role"> & { role: string }): SessionMessage => ({
  id,
  at,
  role: role as SessionMessage["role"],
  text,
  finishReason,
});
