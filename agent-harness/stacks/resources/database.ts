import { claimWith, dropDatabase, findDatabase, maintenanceDatabase, type Sql, withSql } from "../../infra/index.ts";
import { HarnessError } from "../../shared/errors.ts";
import { databaseName } from "../../shared/names.ts";
import type { LaunchContext, Resource, StackContext } from "../resource.ts";

/** The agent's own database, cloned from the template database. */
export const database: Resource = {
  kind: "database",

  ensure: async (context) => {
    const name = databaseName(context.ledger.id);
    return await withSql(context.infra.postgres, maintenanceDatabase, async (sql) => {
      const known = await requireOurs(sql, context);
      if (known !== undefined) return { name, oid: known };
      const { oid, warm, ms } = await claimOne(sql, context, name);
      return { name, oid, warm, strategy: context.template.strategy, claimMs: Math.round(ms) };
    });
  },

  destroy: async (context) => {
    await withSql(context.infra.postgres, maintenanceDatabase, async (sql) => {
      if (await isOurs(sql, context)) await dropDatabase(sql, databaseName(context.ledger.id));
    });
  },

  exists: async (context) => {
    const ours = await withSql(context.infra.postgres, maintenanceDatabase, (sql) => isOurs(sql, context));
    return ours ? `the database ${databaseName(context.ledger.id)}` : undefined;
  },
};

async function claimOne(sql: Sql, context: LaunchContext, name: string) {
  const { id, repository } = context.ledger;
  return await claimWith(sql, {
    machine: context.infra.machine,
    fingerprint: context.template.fingerprint,
    strategy: context.template.strategy,
    name,
    stamp: { id, repository },
  });
}

/** The oid of this stack's database when it is there; a database of that name without our mark is never taken over. */
async function requireOurs(sql: Sql, context: StackContext): Promise<number | undefined> {
  const name = databaseName(context.ledger.id);
  const found = await findDatabase(sql, name);
  if (found === undefined) return undefined;
  if (isMarked(found.stamp, context)) return found.oid;
  throw new HarnessError("NAME_FOREIGN", `A database ${name} exists that this stack did not make.`, {
    hint: `Rename or drop it yourself, or launch another id: agent-cli psql cannot reach it, psql can.`,
    leftBehind: "nothing of this step",
    context: { database: name },
  });
}

async function isOurs(sql: Sql, context: StackContext): Promise<boolean> {
  return isMarked((await findDatabase(sql, databaseName(context.ledger.id)))?.stamp, context);
}

function isMarked(stamp: Record<string, unknown> | undefined, { infra, ledger }: StackContext): boolean {
  return stamp?.["kind"] === "agent" && stamp["machine"] === infra.machine && stamp["id"] === ledger.id;
}
