import { HarnessError } from "../../shared/errors.ts";
import { findPortHolder, isPortFree, listeners } from "../../shared/ports.ts";
import { findMarked, listProcesses, treeOf } from "../../shared/process-tree.ts";
import { markVariable, stackMark } from "../plan.ts";
import { claimId, listClaims, releaseId } from "../registry.ts";
import type { LaunchContext, Resource } from "../resource.ts";

/**
 * The claim on the agent id, and with it on the ports: free, or held by this stack's own processes. A launch has the claim
 * already, from before it touched the ledger.
 */
export const ports: Resource = {
  kind: "ports",

  ensure: async (context) => {
    const { id, repository, project, workdir, configPath } = context.ledger;
    await claimId(context.paths, { id, repository, project, workdir, configPath });
    await requirePorts(context);
    return { ports: context.plan.values.ports };
  },

  destroy: async ({ paths, ledger }) => await releaseId(paths, ledger.id),

  exists: async ({ paths, ledger }) => {
    const claimed = (await listClaims(paths)).some((one) => one.id === ledger.id);
    return claimed ? `the claim on agent ${ledger.id}` : undefined;
  },
};

async function requirePorts({ plan, infra }: LaunchContext): Promise<void> {
  const taken: [string, number][] = [];
  for (const [name, port] of Object.entries(plan.values.ports)) {
    if (!(await isPortFree(port))) taken.push([name, port]);
  }
  if (taken.length === 0) return;
  // Held by an earlier launch of this very stack: the later steps replace it, or leave it as it is.
  const own = [...(await ownPids(stackMark(infra.machine, plan.id)))];
  const ours = new Set(
    (
      await listeners(
        taken.map(([, port]) => port),
        own,
      )
    )
      .filter((one) => own.includes(one.pid))
      .map((one) => one.port),
  );
  for (const [name, port] of taken.filter(([, number]) => !ours.has(number))) {
    const holder = await findPortHolder(port);
    // Freed meanwhile.
    if (holder !== undefined) throw portTaken(plan.id, name, port, holder);
  }
}

async function ownPids(mark: string): Promise<Set<number>> {
  const marked = await findMarked(markVariable, mark);
  const all = await listProcesses();
  return new Set(marked.flatMap((one) => treeOf(one.pid, all)).map((one) => one.pid));
}

function portTaken(id: number, name: string, port: number, holder: { pid?: number; command?: string }): HarnessError {
  const who = holder.pid === undefined ? "a process of another user" : `pid ${holder.pid} (${holder.command ?? "?"})`;
  return new HarnessError("PORT_TAKEN", `Port ${port} (${name} of agent ${id}) is in use by ${who}.`, {
    hint: "Stop that process, or launch another id.",
    leftBehind: "nothing that was not there before",
    context: { id, name, port, ...holder },
  });
}
