import type { Pool, PoolClient } from "pg";
import { transaction } from "./database.ts";

/** What follows from a new entry: a mail to the owner, and a fresh PDF of the page. */
export const jobKinds = ["mail", "pdf"] as const;

export type JobKind = (typeof jobKinds)[number];

/** What each kind of job does. It may run twice: once a job is done but not yet marked as done, the process may end. */
export type JobHandlers = Record<JobKind, (entryId: number) => Promise<void>>;

/** After so many failures a job is left alone, with its last error beside it. */
const maxAttempts = 5;

/** Name of the notification that says there are new jobs. */
export const jobsChannel = "jobs";

/** Adds the jobs of a new entry; whoever listens hears of them when the transaction commits. */
export async function addJobs(client: PoolClient, entryId: number): Promise<void> {
  await client.query("insert into jobs (kind, entry_id) select unnest($1::text[]), $2", [jobKinds, entryId]);
  await client.query(`notify ${jobsChannel}`);
}

/**
 * Takes one job that is due and does it. False when none is due.
 *
 * The row stays locked while the job runs, so no two processes take the same one (SKIP LOCKED), and a process that is
 * killed gives its job back by losing the connection: there is no lease to expire.
 */
export async function runNextJob(pool: Pool, handlers: JobHandlers): Promise<boolean> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<{ id: number; kind: JobKind; entry_id: number }>(
      `select id, kind, entry_id from jobs
       where done_at is null and attempts < $1 and run_after <= now()
       order by id limit 1 for update skip locked`,
      [maxAttempts],
    );
    const [job] = rows;
    if (!job) return false;
    try {
      await handlers[job.kind](job.entry_id);
      await client.query(
        "update jobs set done_at = clock_timestamp(), attempts = attempts + 1, last_error = null where id = $1",
        [job.id],
      );
      console.info(`job ${job.id} ${job.kind} of entry ${job.entry_id} done`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      await client.query(
        `update jobs set attempts = attempts + 1, last_error = $2,
           run_after = clock_timestamp() + interval '2 seconds' * 2 ^ attempts
         where id = $1`,
        [job.id, reason],
      );
      console.error(`job ${job.id} ${job.kind} of entry ${job.entry_id} failed: ${reason}`);
    }
    return true;
  });
}
