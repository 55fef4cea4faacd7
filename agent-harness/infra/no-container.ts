import { HarnessError } from "../shared/errors.ts";
import type { ServiceId } from "./services.ts";

/** CONTAINER_MISSING: why there is no container of a service to run a program in, and what to use instead. */
export function noContainer(id: ServiceId, why: string, agentId: number): HarnessError {
  const here = `agent-cli ${agentId} exec <program>`;
  const hint =
    id === "postgres"
      ? `For SQL run: agent-cli ${agentId} psql. For a program of this machine, with the stack's variables: ${here}`
      : `For a program of this machine, with the stack's variables, run: ${here}`;
  return new HarnessError("CONTAINER_MISSING", `There is no container of ${id}: ${why}.`, {
    hint,
    context: { service: id },
  });
}
