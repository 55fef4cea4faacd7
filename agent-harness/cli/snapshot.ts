import { type Infra, resolveInfra, type SnapshotInfo } from "../infra/index.ts";
import { ago } from "../shared/ago.ts";
import { parseAgentId, parseSnapshotName } from "../shared/names.ts";
import {
  dropSnapshot,
  findLedger,
  type LaunchResult,
  listSnapshots,
  openInfraConfig,
  openProject,
  restoreSnapshot,
  type SaveResult,
  saveSnapshot,
  snapshotsOf,
} from "../stacks/index.ts";
import { type CommandContext, command } from "./command.ts";
import { sizeText, table } from "./output.ts";
import { duration } from "./progress.ts";
import { homeOf, infraOfStack } from "./stack-command.ts";

/** The infra that an agent's stack lies on; without one, that of the folder: a snapshot outlives its stack. */
async function infraOf(id: number | undefined, context: CommandContext): Promise<Infra> {
  const ledger = id === undefined ? undefined : await findLedger(homeOf(context), id);
  if (ledger !== undefined) return await infraOfStack(ledger, context);
  const { config, env } = await openInfraConfig({ cwd: context.cwd, config: context.config, env: context.env });
  return await resolveInfra(homeOf(context), config, env);
}

export const snapshotSaveCommand = command<SaveResult>({
  usage: "snapshot save <id> <name>",
  summary: "keep the database and the bucket of a stack; the stack goes on",
  options: [["--force", "replace a snapshot of this name"]],
  run: async ([id, name], options, context) => {
    const { env, progress } = context;
    const force = options["force"] === true;
    const which = { id: parseAgentId(id ?? ""), name: parseSnapshotName(name ?? "") };
    return await saveSnapshot({ paths: homeOf(context), ...which, force, env, progress });
  },
  text: ({ snapshot, closedMs, restarted, ms }) => {
    const { id, name, sizeBytes, objects } = snapshot;
    const again =
      restarted.length === 0 ? "" : `Started anew, since they lost their connections: ${restarted.join(", ")}\n`;
    return [
      `Agent ${id}: snapshot ${name} is saved (${duration(ms)}).\n`,
      `database  ${sizeText(sizeBytes)}, closed to the application for ${duration(closedMs)}\n`,
      `objects   ${objects}\n`,
      again,
    ].join("");
  },
});

export const snapshotRestoreCommand = command<LaunchResult & { snapshot: string }>({
  usage: "snapshot restore <id> <name>",
  summary: "give a stack the database and the bucket of a snapshot, and start its processes anew; the snapshot stays",
  run: async ([id, name], _, context) => {
    const { config, cwd, env, progress } = context;
    const which = { id: parseAgentId(id ?? ""), name: parseSnapshotName(name ?? "") };
    const project = await openProject({ cwd, config, env });
    return { ...(await restoreSnapshot({ project, ...which, progress })), snapshot: which.name };
  },
  text: ({ ledger, snapshot, ms }) =>
    `Agent ${ledger.id} has the data of its snapshot ${snapshot} (${duration(ms)}).\n`,
});

export const snapshotListCommand = command<SnapshotInfo[]>({
  usage: "snapshot list [id]",
  summary: "the snapshots of this repository, or of one agent; no stack need be there",
  options: [["--everywhere", "every snapshot of this machine, of whatever repository"]],
  run: async ([given], options, context) => {
    const id = given === undefined ? undefined : parseAgentId(given);
    const all = await listSnapshots(await infraOf(id, context), id);
    return id !== undefined || options["everywhere"] === true ? all : await snapshotsOf(all, context.cwd);
  },
  text: (all) => {
    if (all.length === 0) return "There is no snapshot. Save one: agent-harness snapshot save <id> <name>\n";
    const rows = all.map(({ id, name, project, createdAt, sizeBytes, objects, expiresAt }) => [
      id,
      name,
      project,
      ago(createdAt),
      sizeText(sizeBytes),
      objects,
      expiresAt ?? "",
    ]);
    return table(["agent", "name", "project", "saved", "database", "objects", "kept until"], rows);
  },
});

export const snapshotDropCommand = command<SnapshotInfo>({
  usage: "snapshot drop <id> <name>",
  summary: "delete a snapshot; no stack need be there",
  run: async ([given, name], _, context) => {
    const id = parseAgentId(given ?? "");
    const infra = await infraOf(id, context);
    const { progress } = context;
    return await dropSnapshot({ paths: homeOf(context), infra, id, name: parseSnapshotName(name ?? ""), progress });
  },
  text: ({ id, name }) => `Snapshot ${name} of agent ${id} is dropped.\n`,
});
