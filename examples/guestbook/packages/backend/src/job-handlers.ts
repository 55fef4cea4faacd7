import type { Context } from "./context.ts";
import { findEntry } from "./entries.ts";
import type { JobHandlers } from "./jobs.ts";
import { sendEntryMail } from "./mail.ts";
import { makePdf } from "./pdf.ts";

/** What each kind of job does. */
export const jobHandlers = (context: Context): JobHandlers => ({
  async mail(entryId) {
    const entry = await findEntry(context.pool, entryId);
    if (entry) await sendEntryMail(context.env, entry);
  },
  async pdf() {
    await makePdf(context);
  },
});
