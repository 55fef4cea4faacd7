import { createInterface } from "node:readline";
import { z } from "zod";
import { type Engine, labels } from "./engine.ts";

/** What happened to one container of the project. */
export interface ContainerEvent {
  /** The container's id. */
  container: string;
  /** The service's name in the compose file. */
  service: string;
  /** Docker's word: `start`, `die`, `oom`, `health_status: healthy` … */
  action: string;
  /** When, by the engine's own clock, in s since 1970. */
  atSeconds: number;
  /** Of a container that ended. */
  exitCode?: number;
}

const schema = z.object({
  Action: z.string(),
  timeNano: z.number(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()) }),
});

/** Gives each thing that happens to the project's containers, as it happens, until the signal ends it. */
export async function watchEvents(
  engine: Engine,
  project: string,
  signal: AbortSignal,
  onEvent: (event: ContainerEvent) => void,
): Promise<{ ended: Promise<void> }> {
  const filters = { type: ["container" as const], label: [`${labels.project}=${project}`] };
  const stream = await engine.events({ filters, abortSignal: signal });
  // An engine that goes away shows in the compose command's own end; here it only means that no more comes.
  stream.on("error", () => undefined);
  const read = async (): Promise<void> => {
    for await (const line of createInterface({ input: stream })) {
      const event = schema.safeParse(JSON.parse(line)).data;
      if (event === undefined) continue;
      const { ID: container, Attributes } = event.Actor;
      const atSeconds = event.timeNano / 1e9;
      const { [labels.service]: service = "", exitCode } = Attributes;
      const ended = exitCode === undefined ? {} : { exitCode: Number(exitCode) };
      onEvent({ container, service, action: event.Action, atSeconds, ...ended });
    }
  };
  return { ended: read().catch(() => undefined) };
}
