import { type InfraPortHolder, listPortHolders } from "../../infra/index.ts";
import { isPortFree, listeners } from "../../shared/ports.ts";
import { listMarked, listProcesses, treeOf } from "../../shared/process-tree.ts";
import { stackPorts } from "../env.ts";
import { idOfMark, markVariable } from "../plan.ts";
import { type Check, fine, found, type Mendable } from "./finding.ts";

/** Whether infra has its ports. */
export const checkInfraPorts: Check = async ({ paths, infra, env }) => {
  if (infra === undefined) return [];
  const all = await listPortHolders(paths, infra, env);
  const foreign = all.filter((one) => one.holder !== undefined && !one.ours);
  if (foreign.length > 0) return foreign.map(judgeInfraPort);
  const list = all.map((one) => one.port).join(", ");
  return [fine("DOCTOR_INFRA_PORTS", `ports of infra (${list}): free or ours`)];
};

function judgeInfraPort({ service, variable, port, holder }: InfraPortHolder): Mendable {
  return found("DOCTOR_INFRA_PORTS", "error", {
    what: `port ${port} (${service}) is held by ${whoIs(holder ?? {})}`,
    cause: `${service} cannot listen there, or something else answers in its place`,
    fix: `${killOf(holder ?? {})}; or choose another port with ${variable}`,
  });
}

interface Holder {
  pid?: number;
  command?: string;
}

const whoIs = ({ pid, command }: Holder): string =>
  pid === undefined ? "a process of another user" : `pid ${pid} (${(command ?? "?").slice(0, 120)})`;

const killOf = ({ pid }: Holder): string => (pid === undefined ? "stop that process" : `kill ${pid}`);

/** One port of an agent of this project, and who listens on it. */
export interface PortUse {
  id: number;
  name: string;
  port: number;
  /** Absent when nobody listens. */
  holder?: Holder & {
    /** The agent whose mark it carries. */
    agent?: number;
  };
}

/** Whether the agents of this project, up to the last one that is looked at, have their ports. */
export const checkPorts: Check = async (context) => {
  const { project, owners, infra } = context;
  if (project === undefined || owners === undefined) return [];
  // An id that another folder has gets its ports from another config.
  const others = owners.claims.filter((one) => one.repository !== project.repository).map((one) => one.id);
  const ids = Array.from({ length: context.agents }, (_, at) => at + 1).filter((id) => !others.includes(id));
  const wanted = ids.flatMap((id) =>
    Object.entries(stackPorts(project.config.ports, id)).map(([name, port]) => ({ id, name, port })),
  );
  const uses = await findHolders(wanted, infra?.machine);
  const findings = uses.flatMap((use) => judgePort(use, owners.owns(use.id)));
  return findings.length > 0 ? findings : [fine("DOCTOR_PORTS", `ports of agents 1-${context.agents}: free or ours`)];
};

async function findHolders(
  wanted: readonly { id: number; name: string; port: number }[],
  machine: string | undefined,
): Promise<PortUse[]> {
  const listening = await listeners(wanted.map((one) => one.port));
  const [all, agents] = await Promise.all([listProcesses(), findAgents(machine)]);
  const uses = wanted.map(async (one): Promise<PortUse> => {
    const pid = listening.find((other) => other.port === one.port)?.pid;
    if (pid === undefined) return (await isPortFree(one.port)) ? one : { ...one, holder: {} };
    const command = all.find((other) => other.pid === pid)?.command ?? "?";
    const agent = agents.get(pid);
    return { ...one, holder: { pid, command, ...(agent === undefined ? {} : { agent }) } };
  });
  return await Promise.all(uses);
}

/** The agent of each process of a stack, by pid, with all that it started. */
async function findAgents(machine: string | undefined): Promise<Map<number, number>> {
  if (machine === undefined) return new Map();
  const marked = await listMarked(markVariable, (value) => idOfMark(machine, value) !== undefined);
  const all = await listProcesses();
  return new Map(
    marked.flatMap(({ pid, value }) => {
      const id = idOfMark(machine, value);
      return id === undefined ? [] : treeOf(pid, all).map((one): [number, number] => [one.pid, id]);
    }),
  );
}

/** What to say of one port; nothing when it is free or its own agent's. */
export function judgePort({ id, name, port, holder }: PortUse, lives: boolean): Mendable[] {
  if (holder === undefined || holder.agent === id) return [];
  const other = holder.agent === undefined ? "" : `, of agent ${holder.agent}`;
  return [
    found("DOCTOR_PORTS", lives ? "error" : "warning", {
      what: `port ${port} (${name} of agent ${id}) is held by ${whoIs(holder)}${other}`,
      cause: lives ? `agent ${id} cannot listen there` : `a launch of agent ${id} would be refused`,
      fix:
        holder.agent === undefined
          ? `${killOf(holder)}; or launch another id`
          : `agent-harness teardown ${holder.agent}; or launch another id`,
    }),
  ];
}
