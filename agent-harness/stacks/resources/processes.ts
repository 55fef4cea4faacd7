import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { idOfProcess, processPrefix } from "../../shared/names.ts";
import { stackFolder } from "../../shared/paths.ts";
import { listeners } from "../../shared/ports.ts";
import { findMarked, killAll, listMarked, listProcesses, type ProcessInfo, treeOf } from "../../shared/process-tree.ts";
import { findProcesses, openProcesses, type ProcessStatus } from "../../shared/processes.ts";
import { startInOrder } from "../health.ts";
import { idOfMark, markVariable, type PlannedProcess, stackMark } from "../plan.ts";
import {
  contextOfNobody,
  entryOf,
  type LaunchContext,
  type MarkedThing,
  type Resource,
  type StackContext,
} from "../resource.ts";

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
    const wanted = plan.processes.map((one) => one.spec.name);
    const same = before?.["file"] === file && before?.["database"] === database;
    // Whatever an earlier launch left running, also where PM2 knows nothing of it: its daemon may have been killed.
    if (!same) await processes.destroy(context);
    await startInOrder(context, pm2, same ? await repair(context, await pm2.list()) : plan.processes);
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

  listMarked: async (search) => {
    const { paths, infra } = search;
    const pm2 = await findProcesses(paths.pm2);
    await using open = pm2;
    const running = (await open?.list()) ?? [];
    const remove = (id: number) => () => processes.destroy(contextOfNobody(search, id));
    const supervised = running.flatMap(({ name }): MarkedThing[] => {
      const id = idOfProcess(name);
      return id === undefined ? [] : [{ name, id, remove: remove(id) }];
    });
    const marked = await listMarked(markVariable, (value) => idOfMark(infra.machine, value) !== undefined);
    const all = await listProcesses();
    const trees = running.flatMap(({ name, pid }) =>
      idOfProcess(name) === undefined || pid === undefined ? [] : treeOf(pid, all),
    );
    const held = new Set(trees.map((one) => one.pid));
    const escaped = marked.flatMap(({ pid, command, value }): MarkedThing[] => {
      const id = idOfMark(infra.machine, value);
      if (id === undefined || held.has(pid)) return [];
      return [{ name: `pid ${pid} (${command.slice(0, 120)})`, id, remove: remove(id) }];
    });
    return [...supervised, ...escaped];
  },
};

const ownNames = (all: readonly ProcessStatus[], id: number): string[] =>
  all.map((one) => one.name).filter((name) => name.startsWith(processPrefix(id)));

/** One that PM2 had to start again counts as crashed until it is started anew. */
const isRunning = (all: readonly ProcessStatus[], name: string): boolean =>
  all.some((one) => one.name === name && one.status === "online" && one.restarts === 0);

/** The processes that have to be started again; what may hold a port that they need is stopped. */
async function repair(context: LaunchContext, all: readonly ProcessStatus[]): Promise<PlannedProcess[]> {
  const suspects = await notServing(context.plan.processes, all);
  if (suspects.length === 0) return [];
  const strays = await findStrays(context, all);
  const held = await listening(suspects, strays);
  // One that runs may leave its port to a child of its own, as npm does; to a stray it must not.
  const unwell = suspects.filter((one) => !isRunning(all, one.spec.name) || held.has(one.port));
  if (unwell.length > 0) await killAll(strays);
  return unwell;
}

/** Those that do not run, or that run and do not listen themselves on the port where their health is asked for. */
async function notServing(
  planned: readonly PlannedProcess[],
  all: readonly ProcessStatus[],
): Promise<PlannedProcess[]> {
  const pids = all.flatMap(({ pid }) => (pid === undefined ? [] : [{ pid }]));
  const asked = planned.filter((one) => one.health !== undefined);
  const served = await listening(asked, pids);
  return planned.filter((one) => !isRunning(all, one.spec.name) || (asked.includes(one) && !served.has(one.port)));
}

/** Which of the processes' ports some of these pids listen on. */
async function listening(
  planned: readonly PlannedProcess[],
  among: readonly { pid: number }[],
): Promise<Set<number | undefined>> {
  const ports = planned.flatMap((one) => one.port ?? []);
  const pids = among.map((one) => one.pid);
  const found = ports.length === 0 || pids.length === 0 ? [] : await listeners(ports, pids);
  return new Set(found.filter((one) => pids.includes(one.pid)).map((one) => one.port));
}

/** What carries the stack's mark and is in no tree of PM2's. */
async function findStrays({ ledger, infra }: StackContext, all: readonly ProcessStatus[]): Promise<ProcessInfo[]> {
  const marked = await findMarked(markVariable, stackMark(infra.machine, ledger.id));
  // Looked at afterwards: whatever was found above and has a parent in a tree is in this list too.
  const running = await listProcesses();
  const names = ownNames(all, ledger.id);
  const roots = all.filter((one) => names.includes(one.name)).flatMap((one) => one.pid ?? []);
  const held = new Set(roots.flatMap((pid) => treeOf(pid, running)).map((one) => one.pid));
  return marked.filter((one) => !held.has(one.pid));
}
