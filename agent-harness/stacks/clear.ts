import { dropDatabase, findDatabase, maintenanceDatabase, trashDatabase, withSql } from "../infra/index.ts";
import { HarnessError } from "../shared/errors.ts";
import { databaseName } from "../shared/names.ts";
import { withStep } from "../shared/progress.ts";
import { writeLedger } from "./ledger.ts";
import type { StackContext } from "./resource.ts";
import { bucket } from "./resources/bucket.ts";
import { mailbox } from "./resources/mailbox.ts";
import { processes } from "./resources/processes.ts";

/**
 * Takes away what a reset makes anew: processes, database, bucket and mails. That it was begun stands in the ledger until
 * it is done, so that the launch after a killed reset goes on with it and never takes the old database for the new one.
 */
export async function clearStack(context: StackContext): Promise<void> {
  const { ledger, paths, progress } = context;
  ledger.resetting = true;
  delete ledger.restoring;
  await writeLedger(paths, ledger);
  // Only to load the clients of both, in the time that the processes take to end.
  const looks = Promise.allSettled([bucket.exists(context), mailbox.exists(context)]);
  await withStep(progress, "stop processes", () => processes.destroy(context));
  await looks;
  // To their end, both of them: nothing may go on behind an error.
  const ends = await Promise.allSettled([
    withStep(progress, "old database", () => putAway(context)),
    withStep(progress, "bucket and mails", async () => {
      await Promise.all([bucket.destroy(context), mailbox.destroy(context)]);
    }),
  ]);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  ledger.resources = ledger.resources.filter(
    (one) => !["database", "bucket", "after-clone", "processes"].includes(one.kind),
  );
  delete ledger.resetting;
  await writeLedger(paths, ledger);
}

async function putAway({ infra, ledger }: StackContext): Promise<void> {
  const name = databaseName(ledger.id);
  await withSql(infra.postgres, maintenanceDatabase, async (sql) => {
    const found = await findDatabase(sql, name);
    if (found === undefined) return;
    if (found.stamp?.["id"] !== ledger.id || found.stamp.machine !== infra.machine) {
      throw new HarnessError("NAME_FOREIGN", `The database ${name} is not one that agent-harness made.`, {
        hint: `Nothing was touched; look at it with psql before you go on.`,
      });
    }
    if (found.broken) await dropDatabase(sql, name);
    else await trashDatabase(sql, name, infra.machine);
  });
}
