import type { StoredSession, Tx } from "../store/index.ts";
import type { Context } from "./context.ts";
import type { Draft, DraftEvent, Memory } from "./memory.ts";
import type { ProviderName, RunWay, SessionStatus } from "./session.ts";
import type { Callback } from "./sessions.ts";
import { planDelivery, type RestingNews } from "./webhook-delivery.ts";

/* From the session that is stored to one that can be changed, and back, all in one transaction. */

/** What is kept of a session besides its row. */
export const memoryOf = (row: StoredSession): Memory => row.state as Memory;

/** A stored session as a draft; changing that changes nothing else. */
export function openDraft(row: StoredSession): Draft {
  return {
    id: row.id,
    project: row.project,
    provider: row.provider as ProviderName,
    runIn: row.runIn as RunWay,
    status: row.status as SessionStatus,
    reason: row.reason,
    lastActivity: row.lastActivity,
    providerSessionId: row.providerSessionId,
    providerSessionFile: row.providerSessionFile,
    memory: structuredClone(memoryOf(row)),
    events: [],
    messages: [],
    writes: [],
  };
}

/** Stores a draft with its events, messages and webhooks; the session has to be locked in the transaction. Returns it as it is now. */
export async function saveDraft(
  tx: Tx,
  context: Context,
  { row, draft, journalOffset = row.journalOffset }: { row: StoredSession; draft: Draft; journalOffset?: number },
): Promise<StoredSession> {
  draft.memory.revision = memoryOf(row).revision + 1;
  const { status, reason, lastActivity, providerSessionId, providerSessionFile, memory } = draft;
  const [pending] = memory.pendings;
  await tx.messages.put(row.id, draft.messages);
  const { pending: _pending, reason: _reason, ...stays } = row;
  const changed = {
    status,
    lastActivity,
    state: memory,
    journalOffset,
    ...(providerSessionId === undefined ? {} : { providerSessionId }),
    ...(providerSessionFile === undefined ? {} : { providerSessionFile }),
  };
  await tx.sessions.change(row.id, { ...changed, reason: reason ?? null, pending: pending ?? null });
  await addDeliveries(tx, context, row, draft.events);
  await tx.append(draft.events.map(({ type, data }) => ({ type, project: row.project, agentId: row.id, data })));
  return {
    ...stays,
    ...changed,
    ...(reason === undefined ? {} : { reason }),
    ...(pending === undefined ? {} : { pending }),
  };
}

/** A webhook for each time that the session has come to rest, kept together with the event that says so. */
async function addDeliveries(
  tx: Tx,
  context: Context,
  row: StoredSession,
  events: readonly DraftEvent[],
): Promise<void> {
  const rests = events.filter(({ type }) => type === "agent_terminal_finalized");
  if (rests.length === 0) return;
  const project = await tx.projects.find(row.project);
  const targets = {
    session: row.callback as Callback | undefined,
    project: project?.callback as Callback | undefined,
    machine: context.machineWebhook,
  };
  for (const { data } of rests) {
    const news = { ...data, project: row.project, agentId: row.id } as unknown as RestingNews;
    const delivery = planDelivery(news, targets);
    if (delivery !== undefined) await tx.deliveries.add(delivery);
  }
}
