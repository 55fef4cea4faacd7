import { HarnessError } from "../shared/errors.ts";
import type { StoredSession, Tx } from "../store/index.ts";
import { noteAnswer, noteInput, noteInterrupt } from "./commands.ts";
import { type Context, wayOf } from "./context.ts";
import { memoryOf, openDraft, saveDraft } from "./draft.ts";
import type { Draft } from "./memory.ts";
import { getProject } from "./project.ts";
import type { Answer } from "./session.ts";
import { requireStack } from "./session-env.ts";

/* What a session is told by the doors. Stored before the call returns; the daemon that has the session delivers it, once. */

/** The session of an id in a project; AGENT_NOT_FOUND, PROJECT_NOT_FOUND. */
export async function getSession(context: Context, project: string, id: string): Promise<StoredSession> {
  const row = await context.store.sessions.find(id);
  return row?.project === project ? row : await missing(context, project, id);
}

async function missing(context: Context, project: string, id: string): Promise<never> {
  await getProject(context.store, project);
  throw new HarnessError("AGENT_NOT_FOUND", `The project ${project} has no session ${JSON.stringify(id)}.`, {
    hint: "List its sessions.",
    context: { project, id },
  });
}

/** Changes a session in one transaction, whoever has its lease; `before` may say that there is nothing to do. */
export async function changeSession(
  context: Context,
  { project, id }: { project: string; id: string },
  work: (draft: Draft, by: ReturnType<typeof wayOf>) => void,
  before: (tx: Tx) => Promise<boolean> = async () => true,
): Promise<void> {
  const row = await context.store.transaction(async (tx) => {
    const locked = await tx.sessions.lock(id);
    if (locked?.project !== project || memoryOf(locked).deleting === true) return undefined;
    if (!(await before(tx))) return locked;
    const draft = openDraft(locked);
    work(draft, wayOf(context, locked));
    return await saveDraft(tx, context, { row: locked, draft });
  });
  if (row === undefined) await missing(context, project, id);
}

/** Gives new input; with a key, once. STACK_NOT_LAUNCHED when it would not be worked on where the session was started. */
export async function giveInput(
  context: Context,
  where: { project: string; id: string },
  text: string,
  key?: string,
): Promise<void> {
  const isNew = async (tx: Tx): Promise<boolean> => {
    if (key === undefined) return true;
    const known = await tx.idempotency.take(`input ${where.id}`, key, {
      request: text,
      result: true,
      session: where.id,
    });
    if (known.fresh || known.request === text) return known.fresh;
    throw new HarnessError("INVALID_REQUEST", `The idempotency key ${key} was used for another input.`, {
      hint: "Use a new key for a new input.",
    });
  };
  const row = await getSession(context, where.project, where.id);
  const isDue = async (tx: Tx): Promise<boolean> => {
    if (!(await isNew(tx))) return false;
    // The stacks of another home are known there.
    if (row.home === undefined || row.home === context.home) await requireStack(context.paths, row);
    return true;
  };
  await changeSession(context, where, (draft, { provider }) => noteInput(draft, provider, text, Date.now()), isDue);
}

/** Answers what it asks. */
export async function giveAnswer(
  context: Context,
  where: { project: string; id: string },
  pendingId: string,
  answer: Answer,
): Promise<void> {
  await changeSession(context, where, (draft, { way }) => noteAnswer(draft, way, pendingId, answer, Date.now()));
}

/** Ends the turn. */
export async function interruptTurn(context: Context, where: { project: string; id: string }): Promise<void> {
  const { interruptMs } = context.settings.limits;
  await changeSession(context, where, (draft) => noteInterrupt(draft, interruptMs, Date.now()));
}

/** What runs for a session can be ended only where it runs. */
const elsewhere = ({ id, home }: StoredSession): HarnessError =>
  new HarnessError("AGENT_ELSEWHERE", `The session ${id} runs in another home of the harness: ${home}.`, {
    hint: "Delete it through the API that is served from that home.",
    leftBehind: "the session, as it was",
    context: { id, home: home ?? null },
  });

/** Marks a session for its end, and takes its lease from whoever has it: what is deleted has one owner, the one who deletes. */
export async function markDeleted(context: Context, { project, id }: { project: string; id: string }): Promise<void> {
  const found = await context.store.transaction(async (tx) => {
    const row = await tx.sessions.lock(id);
    if (row?.project !== project) return false;
    if (row.home !== undefined && row.home !== context.home) throw elsewhere(row);
    const draft = openDraft(row);
    draft.memory.deleting = true;
    await saveDraft(tx, context, { row, draft });
    if (row.leaseOwner !== undefined) await tx.leases.release(row.leaseOwner, [id]);
    await tx.leases.claim(id, context.owner, context.settings.limits.leaseMs);
    return true;
  });
  if (!found) await missing(context, project, id);
}
