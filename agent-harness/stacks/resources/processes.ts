import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { processPrefix } from "../../shared/names.ts";
import { stackFolder } from "../../shared/paths.ts";
import { findMarked, killAll, listProcesses, treeOf } from "../../shared/process-tree.ts";
import { findProcesses, openProcesses, type ProcessStatus } from "../../shared/processes.ts";
import { startInOrder } from "../health.ts";
import { markVariable, stackMark } from "../plan.ts";
import { entryOf, type Resource, type StackContext } from "../resource.ts";

/** The stack's processes under PM2, as the rendered process file has them. */
export const processes: Resource = {
  kind: "processes",

  ensure: async (context) => {
    const { plan, ledger, paths } = context;
    await mkdir(join(stackFolder(ledger.id, paths.home), "logs"), { recursive: true, mode: 0o700 });
    await using pm2 = await openProcesses(paths.pm2);
    const file = entryOf(ledger, "process-file")?.["sha256"];
    const database = entryOf(ledger, "database")?.["oid"];
    const before = entryOf(ledger, "processes");
    const all = await pm2.list();
    const wanted = plan.processes.map((one) => one.spec.name);
    const same = before?.["file"] === file && before?.["database"] === database;
    if (!same) {
      await removeStale(context, all);
      await startInOrder(context, pm2, plan.processes);
    } else {
      const unwell = plan.processes.filter((one) => !isRunning(all, one.spec.name));
      if (unwell.length > 0) await killStrays(context, all);
      await startInOrder(context, pm2, unwell);
    }
    return { file, database, names: wanted };
  },

  destroy: async (context) => {
    const pm2 = await findProcesses(context.paths.pm2);
    if (pm2 !== undefined) {
      await using open = pm2;
      await open.remove(ownNames(await open.list(), context.ledger.id), { tree: true });
    }
    // What left its tree by setsid or a double fork still carries our mark.
    await killAll(await findMarked(markVariable, stackMark(context.infra.machine, context.ledger.id)));
  },

  exists: async (context) => {
    const pm2 = await findProcesses(context.paths.pm2);
    await using open = pm2;
    const names = open === undefined ? [] : ownNames(await open.list(), context.ledger.id);
    if (names.length > 0) return names.join(", ");
    const marked = await findMarked(markVariable, stackMark(context.infra.machine, context.ledger.id));
    return marked.length === 0 ? undefined : marked.map((one) => `pid ${one.pid} (${one.command})`).join(", ");
  },
};

const ownNames = (all: readonly ProcessStatus[], id: number): string[] =>
  all.map((one) => one.name).filter((name) => name.startsWith(processPrefix(id)));

/** One that PM2 had to start again counts as crashed until it is started anew. */
const isRunning = (all: readonly ProcessStatus[], name: string): boolean =>
  all.some((one) => one.name === name && one.status === "online" && one.restarts === 0);

/** What a dead process left behind may hold the port that its successor needs. */
async function killStrays({ ledger, infra }: StackContext, all: readonly ProcessStatus[]): Promise<void> {
  const running = await listProcesses();
  const names = ownNames(all, ledger.id);
  const roots = all.filter((one) => names.includes(one.name)).flatMap((one) => one.pid ?? []);
  const held = new Set(roots.flatMap((pid) => treeOf(pid, running)).map((one) => one.pid));
  const marked = await findMarked(markVariable, stackMark(infra.machine, ledger.id));
  await killAll(marked.filter((one) => !held.has(one.pid)));
}

/** What an earlier launch left running, under whatever config. */
async function removeStale(context: StackContext, all: readonly ProcessStatus[]): Promise<void> {
  if (ownNames(all, context.ledger.id).length > 0) await processes.destroy(context);
}
