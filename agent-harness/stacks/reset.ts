import { findDatabase, maintenanceDatabase, trashDatabase, withSql } from "../infra/index.ts";
import { HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { databaseName } from "../shared/names.ts";
import { silent, withStep } from "../shared/progress.ts";
import { type LaunchOptions, type LaunchResult, launch, readyInfra } from "./launch.ts";
import { getLedger, writeLedger } from "./ledger.ts";
import { stackLock } from "./registry.ts";
import type { StackContext } from "./resource.ts";
import { bucket } from "./resources/bucket.ts";
import { mailbox } from "./resources/mailbox.ts";
import { processes } from "./resources/processes.ts";

/**
 * Gives a stack a fresh database, an empty bucket and no mails, and starts its processes anew. The old database is
 * renamed away in milliseconds and dropped after the launch has returned.
 */
export async function reset(options: LaunchOptions): Promise<LaunchResult> {
  const { project, id } = options;
  const progress = options.progress ?? silent;
  const infra = await readyInfra(project, progress);
  await withLock(
    stackLock(project.paths, id),
    { doing: `resetting the stack of agent ${id}`, timeoutMs: 180_000 },
    async () => {
      const ledger = await getLedger(project.paths, id);
      const context: StackContext = { paths: project.paths, infra, ledger, progress };
      await withStep(progress, "stop processes", () => processes.destroy(context));
      // Forgotten before they go: a reset that is killed half-way is finished by the next launch.
      ledger.status = "launching";
      ledger.resources = ledger.resources.filter(
        (one) => !["database", "bucket", "after-clone", "processes"].includes(one.kind),
      );
      await writeLedger(project.paths, ledger);
      await withStep(progress, "old database", () => putAway(context));
      await withStep(progress, "bucket and mails", async () => {
        await bucket.destroy(context);
        await mailbox.destroy(context);
      });
    },
  );
  return await launch(options);
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
