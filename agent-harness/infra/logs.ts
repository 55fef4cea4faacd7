import type { ServiceLogLine } from "./driver.ts";
import type { ServiceId } from "./services.ts";
import { type InfraPlace, openRunning } from "./status.ts";

/** The last lines of the services' output, then, with a signal, each new one until it is aborted. */
export async function infraLogs(
  place: InfraPlace,
  ids: readonly ServiceId[],
  options: { lines: number; follow?: AbortSignal },
  onLine: (line: ServiceLogLine) => void,
): Promise<void> {
  // The log files of embedded services are there when infra is down too, and may say why it is.
  await using driver = await openRunning(place, "embedded");
  await driver?.logs(ids, options, onLine);
}
