import { removeFolder } from "../shared/paths.ts";
import { type Context, placeOf } from "./context.ts";
import { openDraft, saveDraft } from "./draft.ts";
import { noteDeletion } from "./losses.ts";
import { endProcesses, endSession } from "./process-end.ts";

/** Ends a session that is marked for it, all that it started, and forgets it. Its events stay. Can be done again from anywhere. */
export async function finishDeletion(context: Context, id: string): Promise<void> {
  const place = placeOf(context, id);
  const { graceMs } = context.settings.limits;
  await endSession(place, { graceMs });
  await context.store.transaction(async (tx) => {
    const row = await tx.sessions.lock(id);
    if (row === undefined) return;
    const draft = openDraft(row);
    noteDeletion(draft, Date.now());
    await saveDraft(tx, context, { row, draft });
    await tx.sessions.remove(id);
  });
  await removeFolder(place.folder, context.paths.home);
  // Should another daemon have started it at the same instant.
  await endProcesses({ folder: place.folder }, { graceMs });
}
