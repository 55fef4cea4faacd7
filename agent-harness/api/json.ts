import type { z } from "@hono/zod-openapi";
import type { Callback, Project, ReadMessage, Session, SessionMessage, Sessions } from "../sessions/index.ts";
import { HarnessError } from "../shared/errors.ts";
import type { StoredEvent } from "../store/index.ts";
import type { shownCallback } from "./schemas.ts";
import type { agent, message } from "./schemas-agent.ts";
import type { project } from "./schemas-project.ts";

/* How things look in the answers. */

type Json<Schema extends z.ZodType> = z.output<Schema>;

/** The lines of output that an agent is shown with, and the length of its brief. */
const shownLines = 50;
const briefLength = 140;

/** The id of an event as clients know it. */
export const eventIdText = (id: number): string => `evt-${id}`;

/** An event as clients know it. What a type says besides never hides what every event has. */
export function eventJson({ id, at, project, agentId, type, data }: StoredEvent): Record<string, unknown> {
  const head = {
    id: eventIdText(id),
    ts: at.toISOString(),
    project,
    ...(agentId === undefined ? {} : { agentId }),
    type,
  };
  return { ...head, ...data, ...head };
}

/** A project, without its callback's token. */
export function projectJson({ name, cwd, agentCount, createdAt, stack, callback }: Project): Json<typeof project> {
  return {
    name,
    cwd,
    tmuxSession: "",
    agentCount,
    createdAt: createdAt.toISOString(),
    ...(stack === undefined ? {} : { stack }),
    ...(callback === undefined ? {} : { callback: callbackJson(callback) }),
  };
}

function callbackJson({ token: _token, ...shown }: Callback): Json<typeof shownCallback> {
  return shown;
}

/** An agent with what it says of itself: its brief and the last lines of its output. */
export async function agentJson(sessions: Sessions, session: Session): Promise<Json<typeof agent>> {
  const { project, id } = session;
  const [brief, { output }] = await Promise.all([briefOf(sessions, session), sessions.output(project, id, shownLines)]);
  return {
    id,
    project,
    provider: session.provider,
    status: session.status,
    ...optional("reason", session.reason),
    ...optional("pending", session.pending),
    brief,
    task: session.task,
    ...optional("model", session.model),
    runIn: session.runIn,
    cwd: session.cwd,
    ...optional("stack", session.stack),
    windowName: id,
    tmuxTarget: tmuxTargetOf(session),
    attachCommand: session.attachCommand,
    ...optional("subscriptionId", session.subscription),
    ...(session.callback === undefined ? {} : { callback: callbackJson(session.callback) }),
    ...optional("providerSessionId", session.providerSessionId),
    ...optional("providerSessionFile", session.providerSessionFile),
    providerRuntimeDir: session.folder,
    journal: session.journal,
    createdAt: session.createdAt.toISOString(),
    lastActivity: session.lastActivity.toISOString(),
    lastCapturedOutput: output,
  };
}

const optional = <Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } =>
  value === undefined ? {} : ({ [key]: value } as { [key in Key]: Value });

/** Where a session's window is; empty without tmux. */
export const tmuxTargetOf = ({ tmuxTarget = "" }: Session): string => tmuxTarget;

/** The first lines of what an agent said last: of four messages while it works, else of the last one. */
export async function briefOf(sessions: Sessions, { project, id, status }: Session): Promise<string[]> {
  const limit = status === "processing" ? 4 : 1;
  const { messages } = await sessions.messages(project, id, { role: "assistant", limit });
  const firstLine = ({ text }: SessionMessage): string => text.trim().split("\n", 1)[0]?.slice(0, briefLength) ?? "";
  return messages.map(firstLine).filter((line) => line !== "");
}

/** Something about each session; those that were deleted meanwhile are left out. */
export async function forEach<T>(all: readonly Session[], make: (one: Session) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  // A few at a time: a list of many must not take every connection of the store.
  for (let at = 0; at < all.length; at += 8) {
    const some = all.slice(at, at + 8).map((one) => make(one).catch(undefinedWhenGone));
    made.push(...(await Promise.all(some)).flatMap((one) => (one === undefined ? [] : [one])));
  }
  return made;
}

function undefinedWhenGone(error: unknown): undefined {
  if (error instanceof HarnessError && error.kind === "missing") return undefined;
  throw error;
}

/** A message as clients know it. */
export const messageJson = (one: ReadMessage): Json<typeof message> => ({
  id: one.id,
  ts: new Date(one.at).toISOString(),
  role: one.role,
  text: one.text,
  finishReason: one.finishReason,
  sourceRecord: one.source,
});
