import {
  claimWith,
  dropDatabase,
  findDatabase,
  findDatabases,
  maintenanceDatabase,
  type Sql,
  withSql,
} from "../../infra/index.ts";
import { HarnessError } from "../../shared/errors.ts";
import { databaseName, isAgentId, trashDatabaseName } from "../../shared/names.ts";
import {
  contextOfNobody,
  type LaunchContext,
  type MarkedThing,
  type Resource,
  type StackContext,
} from "../resource.ts";

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

  listMarked: async (search) => {
    const { postgres, machine } = search.infra;
    const all = await withSql(postgres, maintenanceDatabase, (sql) => findDatabases(sql, ""));
    return all.flatMap(({ name, stamp }): MarkedThing[] => {
      if (stamp?.kind !== "agent" || stamp.machine !== machine || name.startsWith(trashDatabaseName(""))) return [];
      const id = stamp["id"];
      if (!isAgentId(id)) return [];
      const renamed = `somebody gave it this name; if nobody needs it: DROP DATABASE "${name}"`;
      return [
        {
          name,
          id,
          whyKept: async () => (name === databaseName(id) ? undefined : renamed),
          remove: () => database.destroy(contextOfNobody(search, id)),
        },
      ];
    });
  },
};

async function claimOne(sql: Sql, context: LaunchContext, name: string) {
  const { id, repository, workdir } = context.ledger;
  return await claimWith(sql, {
    machine: context.infra.machine,
    fingerprint: context.template.fingerprint,
    strategy: context.template.strategy,
    name,
    // The last two so that gc knows where else to look when the ledger is lost.
    stamp: { id, repository, workdir },
  });
}

/** Whether the stack's database is there, and not the rest of one. */
export async function isDatabaseWhole(context: StackContext): Promise<boolean> {
  const { infra, ledger } = context;
  const found = await withSql(infra.postgres, maintenanceDatabase, (sql) => findDatabase(sql, databaseName(ledger.id)));
  return isMarked(found?.stamp, context) && !found?.broken;
}

/** The oid of this stack's database when it is there (the rest of one is dropped); a database of that name without our mark is never taken over. */
async function requireOurs(sql: Sql, context: StackContext): Promise<number | undefined> {
  const name = databaseName(context.ledger.id);
  const found = await findDatabase(sql, name);
  if (found === undefined) return undefined;
  if (isMarked(found.stamp, context)) {
    if (!found.broken) return found.oid;
    await dropDatabase(sql, name);
    return undefined;
  }
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
