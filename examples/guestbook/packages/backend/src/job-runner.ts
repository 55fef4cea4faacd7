import { Client, type Pool } from "pg";
import { type JobHandlers, jobsChannel, runNextJob } from "./jobs.ts";

export interface JobRunner {
  /** Takes no further job, and resolves when the running one is done. */
  stop(): Promise<void>;
}

/** How often the runner looks by itself, for jobs to try again and for notifications it missed, in ms. */
const pollMs = 2000;

/**
 * Does jobs one after the other: as soon as the database tells of a new one, and at each poll. The worker runs it, or
 * the API itself while the scheduler is off.
 */
export function startJobRunner(pool: Pool, handlers: JobHandlers): JobRunner {
  let stopped = false;
  let listener: Client | undefined;
  let working: Promise<void> | undefined;
  let again = false;

  const wake = () => {
    // Remembered, so that a notification during the last look of a drain is not lost.
    again = true;
    working ??= drain()
      .catch((error: Error) => console.error(`Jobs have to wait: ${error.message}`))
      .finally(() => {
        working = undefined;
      });
  };

  const drain = async () => {
    // The listener is lost when the database restarts; the next poll listens again.
    listener ??= await listen(pool, wake, () => {
      listener = undefined;
    });
    while (again && !stopped) {
      again = false;
      while (!stopped && (await runNextJob(pool, handlers)));
    }
  };

  const timer = setInterval(wake, pollMs);
  wake();
  return {
    async stop() {
      stopped = true;
      clearInterval(timer);
      await working;
      await listener?.end();
    },
  };
}

async function listen(pool: Pool, onJob: () => void, onEnd: () => void): Promise<Client> {
  const client = new Client(pool.options);
  client.on("notification", onJob);
  client.on("error", (error) => console.error(`The listening connection was lost: ${error.message}`));
  client.on("end", onEnd);
  try {
    await client.connect();
    await client.query(`listen ${jobsChannel}`);
    return client;
  } catch (error) {
    await client.end().catch(() => {}); // It is the first error that says why.
    throw error;
  }
}
