import { HarnessError } from "./errors.ts";

/** The smallest and the largest agent id; above 99 the port families of the seed would meet. */
export const agentIds = { min: 1, max: 99 } as const;

/** How far the ports of two neighbouring agents are apart. */
export const portStep = 10;

/** The agent id in a piece of text, or an error that shows the text; nothing but 1–99 passes, not even `01` or ` 1`. */
export function parseAgentId(text: string | number): number {
  const id = typeof text === "number" ? text : /^[1-9][0-9]?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isInteger(id) && id >= agentIds.min && id <= agentIds.max) return id;
  throw new HarnessError(
    "AGENT_ID_INVALID",
    `An agent id is a whole number from 1 to 99, not ${JSON.stringify(text)}.`,
    {
      hint: "Give an id such as 3: agent-harness launch 3",
    },
  );
}

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

/** Name of the PM2 process that runs one service of the infra. */
export const serviceProcessName = (service: string): string => `infra-${service}`;

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

/** The words that may stand in names derived from a project: lower case, digits and dashes. */
export function slug(text: string): string {
  const words = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return words.slice(0, 40) || "project";
}
