import { HarnessError } from "../../shared/errors.ts";
import { findPortHolder } from "../../shared/ports.ts";
import type { InfraRecord } from "../record.ts";
import { servicePorts } from "../service-ports.ts";
import type { ServiceId } from "../services.ts";
import type { ComposeSettings } from "./agree.ts";
import { type Engine, labels } from "./engine.ts";
import { imageVariables } from "./images.ts";
import { containerTail } from "./logs.ts";
import { composeNames } from "./names.ts";
import { unavailable } from "./pull.ts";

const leftBehind = "the services that did start, and their data";

export interface FailedUp {
  engine: Engine;
  settings: ComposeSettings;
  ports: InfraRecord["ports"];
  ids: readonly ServiceId[];
  /** Services that ended or stayed unhealthy, as far as is known. */
  failed: readonly ServiceId[];
  /** The last lines of the compose command. */
  tail: readonly string[];
}

/** Why `compose up` failed, in our words: a port, an image, a service with its last log lines; else compose's own words. */
export async function explainUp(up: FailedUp): Promise<HarnessError> {
  const text = up.tail.join("\n");
  return (await portTaken(up, text)) ?? imageRefused(up, text) ?? (await serviceFailed(up)) ?? other(text);
}

async function portTaken({ ids, ports }: FailedUp, text: string): Promise<HarnessError | undefined> {
  if (!/port is already allocated|address already in use|ports are not available/i.test(text)) return undefined;
  const port = Number(/(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)/.exec(text)?.[1]);
  const all = ids.flatMap((id) => Object.entries(servicePorts(id, ports, { withConsole: true })));
  const name = all.find(([, number]) => number === port)?.[0] ?? "a port of infra";
  const holder = await findPortHolder(port);
  const who = holder?.pid === undefined ? "something else" : `pid ${holder.pid} (${holder.command ?? "?"})`;
  return new HarnessError("PORT_TAKEN", `Port ${port} (${name}) is in use by ${who}.`, {
    hint: "Stop that process, or choose another port with the variable in parentheses.",
    leftBehind,
    context: { port, name, ...holder },
  });
}

function imageRefused({ settings, ids }: FailedUp, text: string): HarnessError | undefined {
  if (!/pull access denied|manifest unknown|No such image|failed to resolve reference/i.test(text)) return undefined;
  const id = ids.find((one) => text.includes(settings.images[one]));
  return id === undefined ? undefined : unavailable(id, settings.images[id], text.split("\n").at(-1) ?? text);
}

async function serviceFailed({ engine, settings, failed }: FailedUp): Promise<HarnessError | undefined> {
  const [id] = failed;
  if (id === undefined) return undefined;
  const containers = await engine.containers(settings.project);
  const container = containers.find((one) => one.service === composeNames[id]);
  if (container === undefined) return undefined;
  const lines = await containerTail(engine, container.id, 12);
  const { State } = await engine.inspect(container.id);
  const said = lines.join("\n") || "(no output)";
  const checks = State.Health?.Log?.at(-1)?.Output?.trim();
  return (
    versionDiffers(said, settings, container.labels) ??
    new HarnessError(
      "INFRA_DOWN",
      `The service ${id} (container ${container.name}) ${describeState(State)}.${checks ? ` Its health check says: ${checks}` : ""} Its last lines:\n${said}`,
      { hint: `Run: agent-harness infra logs ${id}`, leftBehind, context: { service: id, container: container.name } },
    )
  );
}

function describeState({
  Status,
  ExitCode,
  OOMKilled,
  Health,
}: {
  Status: string;
  ExitCode: number;
  OOMKilled: boolean;
  Health?: { Status: string } | undefined;
}): string {
  if (OOMKilled) return "was killed because it needed more memory than its limit";
  if (Status !== "running") return `ended with code ${ExitCode}`;
  return `is ${Health?.Status ?? "running, and does not answer"}`;
}

/** Postgres's own words for a data folder of another major version. */
function versionDiffers(
  said: string,
  { images, project }: ComposeSettings,
  containerLabels: Readonly<Record<string, string>>,
): HarnessError | undefined {
  const found = /initialized by PostgreSQL version (\d+), which is not compatible with this version (\d+)/.exec(said);
  if (found === null) return undefined;
  const [, have, server] = found;
  return new HarnessError(
    "POSTGRES_VERSION_DIFFERS",
    `The data in the volume ${project}_agent-db-data is of Postgres ${have}, the server of ${images.postgres} is ${server}.`,
    {
      hint: `Set ${imageVariables.postgres} to an image of Postgres ${have} again. Or, since all in it can be rebuilt but the harness's own database: agent-harness infra destroy --force, then setup.`,
      leftBehind: "the data, as it was",
      context: { have, server, home: containerLabels[labels.home] },
    },
  );
}

const other = (text: string): HarnessError =>
  new HarnessError("INFRA_DOWN", `docker compose could not start the services. Its last lines:\n${text}`, {
    hint: "Mend what it says, then run: agent-harness infra up",
    leftBehind,
  });
