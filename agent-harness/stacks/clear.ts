import { findDatabase, maintenanceDatabase, trashDatabase, withSql } from "../infra/index.ts";
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
  await writeLedger(paths, ledger);
  await withStep(progress, "stop processes", () => processes.destroy(context));
  await withStep(progress, "old database", () => putAway(context));
  await withStep(progress, "bucket and mails", async () => {
    await bucket.destroy(context);
    await mailbox.destroy(context);
  });
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
    await trashDatabase(sql, name, infra.machine);
  });
}
