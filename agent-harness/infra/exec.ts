import { HarnessError } from "../shared/errors.ts";
import type { ExecOptions } from "./driver.ts";
import { noContainer } from "./no-container.ts";
import { resolveInfra } from "./resolve.ts";
import type { ServiceId } from "./services.ts";
import { type InfraPlace, openRunning } from "./status.ts";

/** Runs a program in the container of a service, with our terminal or our streams; returns its exit code. */
export async function execInService(
  place: InfraPlace,
  id: ServiceId,
  argv: readonly string[],
  options: ExecOptions,
): Promise<number> {
  const infra = await resolveInfra(place.paths, place.config, place.env);
  if (infra[id].external) throw noContainer(id, "the config names a server elsewhere", options.agentId);
  await using driver = await openRunning(place);
  if (driver !== undefined) return await driver.exec(id, argv, options);
  throw new HarnessError("INFRA_DOWN", "The shared services do not run.", { hint: "Run: agent-harness infra up" });
}
