import type { Store, StoredSession } from "../store/index.ts";
import { memoryOf } from "./draft.ts";
import { newestEvents } from "./queries.ts";
import type { SessionMessage } from "./session.ts";
import type { Messages, MessagesQuery, ReadMessage } from "./sessions.ts";

/* What a session said, for people and for programs; read from what was told by its protocol, never from a screen. */

/** How many events are read at once: each may be as long as 64 KiB. */
const mostAtOnce = 100;

/** No more is shown than this, in characters; the journal has all of it. */
const mostShown = 4 * 1024 * 1024;

/** The last lines of what happened, as a person would like to read it; fewer than asked for where they are very long. */
export async function readOutput(
  store: Store,
  row: StoredSession,
  lines: number,
): Promise<{ output: string; lines: number }> {
  const newestFirst: string[] = [];
  let length = 0;
  for await (const text of shownFromTheEnd(store, row, Math.min(lines, mostAtOnce))) {
    length += text.length;
    if (length > mostShown) break;
    newestFirst.push(...text.split("\n").reverse());
    if (newestFirst.length >= lines) break;
  }
  const last = newestFirst.slice(0, lines).reverse();
  return { output: last.join("\n"), lines: last.length };
}

/** What each event shows, the newest first; read in parts, as far as somebody takes it. */
async function* shownFromTheEnd(store: Store, row: StoredSession, limit: number): AsyncGenerator<string> {
  const types = Object.keys(shown);
  for (let before: number | undefined; ; ) {
    const events = await newestEvents(store, row, { types, limit, before });
    for (const { type, data } of events) yield shown[type]?.(data) ?? "";
    if (events.length < limit) return;
    before = events.at(-1)?.id;
  }
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
    source: last?.source ?? messages.at(-1)?.source ?? usualSource,
    parseErrors: memoryOf(row).unknown ?? 0,
  };
}

/** A message as the store has it. */
type Told = Omit<ReadMessage, "role" | "source"> & { role: string; source?: string };

const usualSource = "protocol";

const present = ({ id, at, role, text, finishReason, source = usualSource }: Told): ReadMessage => ({
  id,
  at,
  role: role as SessionMessage["role"],
  text,
  finishReason,
  source,
});
