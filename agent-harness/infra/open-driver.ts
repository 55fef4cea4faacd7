import { openCompose } from "./compose/driver.ts";
import type { DriverContext, InfraDriver } from "./driver.ts";
import { openEmbedded } from "./embedded/driver.ts";
import type { DriverName } from "./services.ts";

/** The driver of that name, ready to use. DOCKER_UNAVAILABLE and its kin when compose has no engine to talk to. */
export async function openDriver(name: DriverName, context: DriverContext): Promise<InfraDriver> {
  return name === "compose" ? await openCompose(context) : openEmbedded(context);
}
