import { HarnessError } from "../../shared/errors.ts";
import { findPortHolder, isPortFree } from "../../shared/ports.ts";
import type { InfraRecord } from "../record.ts";
import { servicePorts } from "../service-ports.ts";
import type { ServiceId } from "../services.ts";
import { type ContainerFacts, type Engine, labels } from "./engine.ts";

/** A port of ours, and the variable that moves it. */
interface NamedPort {
  service: ServiceId;
  name: string;
  port: number;
}

/** Throws PORT_TAKEN, naming the holder, unless every port of these services is free. */
export async function requirePorts(
  engine: Engine,
  ids: readonly ServiceId[],
  ports: InfraRecord["ports"],
): Promise<void> {
  for (const one of portsOf(ids, ports)) if (!(await isPortFree(one.port))) throw await portTaken(engine, one);
}

/** The port of ours that a text of an engine or a server calls taken. */
export function findTakenPort(
  text: string,
  ids: readonly ServiceId[],
  ports: InfraRecord["ports"],
): NamedPort | undefined {
  if (!/port is already allocated|address already in use|EADDRINUSE|ports are not available/i.test(text)) return;
  const mentioned = [...text.matchAll(/:(\d{1,5})\b/g)].map((found) => Number(found[1]));
  return portsOf(ids, ports).find(({ port }) => mentioned.includes(port));
}

const portsOf = (ids: readonly ServiceId[], ports: InfraRecord["ports"]): NamedPort[] =>
  ids.flatMap((service) =>
    Object.entries(servicePorts(service, ports, { withConsole: true })).map(([name, port]) => ({
      service,
      name,
      port,
    })),
  );

/** PORT_TAKEN with the holder's name: the container that publishes the port, else the process that listens. */
export async function portTaken(
  engine: Engine,
  { service, name, port }: NamedPort,
  leftBehind?: string,
): Promise<HarnessError> {
  const publisher = await engine.findPublisher(port);
  const { who, stop, context } = publisher === undefined ? await processAt(port) : containerAt(publisher);
  return new HarnessError("PORT_TAKEN", `Port ${port} (${name}) is in use by ${who}.`, {
    hint: `${stop}, or choose another port with the variable in parentheses.`,
    leftBehind,
    context: { service, port, name, ...context },
  });
}

interface Holder {
  who: string;
  /** What to do about it. */
  stop: string;
  context: Record<string, unknown>;
}

async function processAt(port: number): Promise<Holder> {
  const holder = await findPortHolder(port);
  if (holder === undefined) {
    return { who: "something that has let it go since", stop: "Run the same command again", context: {} };
  }
  const { pid, command = "?" } = holder;
  const who = pid === undefined ? "a process that this user cannot see" : `pid ${pid} (${command})`;
  return { who, stop: "Stop that process", context: { ...holder } };
}

function containerAt({ name, labels: theirs }: ContainerFacts): Holder {
  const { [labels.home]: home, [labels.project]: project } = theirs;
  const ofProject = project === undefined ? "" : ` of the compose project ${project}`;
  const whose = home === undefined ? ofProject : ` of the agent-harness of ${home}`;
  return { who: `the container ${name}${whose}`, stop: `Run: docker stop ${name}`, context: { container: name } };
}
