import { createHash } from "node:crypto";
import { HarnessError } from "./errors.ts";

/** The smallest and the largest agent id; above 99 the port families of the seed would meet. */
export const agentIds = { min: 1, max: 99 } as const;

/** How far the ports of two neighbouring agents are apart. */
export const portStep = 10;

/** The agent id in a piece of text, or an error that shows the text; nothing but 1–99 passes, not even `01` or ` 1`. */
export function parseAgentId(text: string | number): number {
  const id = typeof text === "number" ? text : /^[1-9][0-9]?$/.test(text) ? Number(text) : Number.NaN;
  if (isAgentId(id)) return id;
  throw new HarnessError(
    "AGENT_ID_INVALID",
    `An agent id is a whole number from 1 to 99, not ${JSON.stringify(text)}.`,
    {
      hint: "Give an id such as 3: agent-harness launch 3",
    },
  );
}

/** Every agent id that there can be, in order. */
export const everyAgentId: readonly number[] = Array.from(
  { length: agentIds.max - agentIds.min + 1 },
  (_, at) => agentIds.min + at,
);

/** Whether a value that came from outside, such as a stamp, is an agent id. */
export const isAgentId = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= agentIds.min && value <= agentIds.max;

/** Name of the database of one agent. */
export const databaseName = (id: number): string => `agent_${id}`;

/** Name of the bucket of one agent. */
export const bucketName = (id: number): string => `agent-${id}`;

/** The sender address by which the mail of one agent is told apart on the shared mail catcher. */
export const mailAddress = (id: number): string => `agent-${id}@agent-harness.test`;

/** Name of a PM2 process of a stack; the dash after the id keeps agent-1 and agent-10 apart. */
export const processName = (id: number, process: string): string => `${processPrefix(id)}${process}`;

/** What the PM2 names of one stack's processes begin with. */
export const processPrefix = (id: number): string => `agent-${id}-`;

/** The agent whose stack a PM2 process is of, by its name; undefined for any other process. */
export function idOfProcess(name: string): number | undefined {
  const [, id] = /^agent-([1-9][0-9]?)-/.exec(name) ?? [];
  return id === undefined ? undefined : Number(id);
}

/** Name of the PM2 process that runs one service of the infra. */
export const serviceProcessName = (service: string): string => `infra-${service}`;

/** Name of the PM2 process that stops what is idle and takes away what is over. */
export const reaperProcessName = "reaper";

/** Name of the rendered env file, in the stack's working directory. */
export const envFileName = (id: number): string => `.env.agent.${id}`;

/** Name of the rendered PM2 ecosystem file. */
export const processFileName = (id: number): string => `ecosystem.agent.${id}.config.cjs`;

/** Name of the rendered instructions for the coding agent. */
export const instructionsFileName = (id: number): string => `CLAUDE.agent.${id}.md`;

/** The harness's own database on the shared server. */
export const harnessDatabase = "agent_harness";

/** Name of the template database for one fingerprint (hex). */
export const templateDatabaseName = (fingerprint: string): string => `ah_tpl_${fingerprint.slice(0, 12)}`;

/** What the pool databases cloned from one template database begin with. */
export const poolPrefix = (fingerprint: string): string =>
  fingerprint === "" ? "ah_pool_" : `ah_pool_${fingerprint.slice(0, 12)}_`;

/** Scratch name under which a template database is built. */
export const scratchDatabaseName = (fingerprint: string, unique: string): string =>
  `ah_build_${fingerprint.slice(0, 12)}_${unique}`;

/** Name that a database gets while it waits to be dropped. */
export const trashDatabaseName = (unique: string): string => `ah_trash_${unique}`;

/** The snapshot that a teardown keeps; no other one may have this name. */
export const beforeTeardown = "before-teardown";

/** The most that a snapshot's name adds to the names of its database and bucket, which may have 63 bytes. */
const maxSnapshotSlug = 40;

/** The name of a snapshot in a piece of text: up to 80 characters of any language, none of them for control. */
export function parseSnapshotName(text: string): string {
  const name = text.trim();
  if (/^[^\p{C}]{1,80}$/u.test(name)) return name;
  throw new HarnessError(
    "USAGE",
    `A snapshot's name is 1 to 80 characters, not ${JSON.stringify(text.slice(0, 100))}.`,
    {
      hint: "Such as: agent-harness snapshot save 3 before-migration",
    },
  );
}

/** The part of names that stands for a snapshot's name; a name that it cannot hold as it is gets a hash, so no two meet. */
export function snapshotSlug(name: string): string {
  const words = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  if (words === name && words.length <= maxSnapshotSlug && !/(?:^|-)[0-9a-f]{8}$/.test(words)) return words;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 8);
  const cut = words.slice(0, maxSnapshotSlug - hash.length - 1).replace(/-+$/, "");
  return cut === "" ? hash : `${cut}-${hash}`;
}

/** What the databases of all snapshots, or of one agent's, begin with. */
export const snapshotDatabasePrefix = (id?: number): string => (id === undefined ? "ah_snap_" : `ah_snap_${id}_`);

/** Name of the database of a snapshot. */
export const snapshotDatabaseName = (id: number, name: string): string =>
  `${snapshotDatabasePrefix(id)}${snapshotSlug(name).replaceAll("-", "_")}`;

/** What the buckets of one agent's snapshots begin with. */
export const snapshotBucketPrefix = (id: number): string => `agent-${id}-snap-`;

/** Name of the bucket of a snapshot; `unique` keeps it apart from the one that it replaces. */
export const snapshotBucketName = (id: number, name: string, unique: string): string =>
  `${snapshotBucketPrefix(id)}${snapshotSlug(name)}-${unique}`;

/** What the scratch copies of one agent's databases begin with. */
export const copyPrefix = (id: number): string => `ah_copy_${id}_`;

/** Scratch name under which an agent's database is copied, or a snapshot for an agent. */
export const copyDatabaseName = (id: number, unique: string): string => `${copyPrefix(id)}${unique}`;

/** The agent that a scratch copy or the bucket of a snapshot is of, by its name. */
export function idOfSnapshotPart(name: string): number | undefined {
  const id = Number(/^(?:ah_copy_|agent-)([1-9][0-9]?)(?:_[0-9a-f]{8}$|-snap-)/.exec(name)?.[1] ?? 0);
  return isAgentId(id) ? id : undefined;
}

/** In the environment of all that a session starts: its id. */
export const sessionVariable = "AGENT_HARNESS_SESSION";

/** Beside it: the session's folder, which no session of another home has. What carries it is ended with the session. */
export const sessionFolderVariable = "AGENT_HARNESS_SESSION_FOLDER";

/** In the environment of a session's keeper, and of nothing that it starts: the session's folder. */
export const keeperVariable = "AGENT_HARNESS_KEEPER";

/** The tmux session of a session's window: one each, so that two people who look at two of them do not move each other's view. */
export const tmuxSessionName = (session: string): string => session;

/** The name of the only window in it. */
export const tmuxWindowName = "agent";

/** The words that may stand in names derived from a project: lower case, digits and dashes. */
export function slug(text: string): string {
  const words = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return words.slice(0, 40) || "project";
}
