import type { InfraConfig } from "../shared/config-schema.ts";
import { HarnessError } from "../shared/errors.ts";
import type { HomePaths } from "../shared/paths.ts";
import { probeCompose } from "./compose/probe.ts";
import type { InfraRecord } from "./record.ts";
import type { DriverName, ServiceId } from "./services.ts";

/** A living stack, as far as the choice of a driver needs to know it. */
export interface StackOnInfra {
  id: number;
  /** The driver that it was launched on, where its ledger knows. */
  driver?: DriverName;
}

export interface ChosenDriver {
  name: DriverName;
  /** Why, in words for people. */
  reason: string;
}

export interface DriverQuestion {
  paths: HomePaths;
  config: InfraConfig;
  env: Readonly<Record<string, string | undefined>>;
  /** What runs now. */
  record: InfraRecord | undefined;
  /** The services that are ours to run. */
  services: readonly ServiceId[];
  stacks: readonly StackOnInfra[];
}

/**
 * Which driver runs the services: the one that living stacks use, else the config's, else the one that runs already, else
 * compose where an engine answers and its images can be had, else embedded. DRIVER_DIFFERS when the config wants another
 * one than living stacks use.
 */
export async function chooseDriver(question: DriverQuestion): Promise<ChosenDriver> {
  const { config, record, stacks } = question;
  const used = record?.driver ?? stacks.find((one) => one.driver !== undefined)?.driver;
  const wanted = config.driver;
  if (stacks.length > 0 && used !== undefined) {
    if (wanted !== "auto" && wanted !== used) throw differs(wanted, used, stacks);
    return { name: used, reason: `${list(stacks)} ${stacks.length === 1 ? "uses" : "use"} it` };
  }
  if (wanted !== "auto") return { name: wanted, reason: "the config or the command line says so" };
  if (record !== undefined) return { name: record.driver, reason: "it runs already" };
  const { usable, reason } = await probeCompose(question);
  return { name: usable ? "compose" : "embedded", reason };
}

function differs(wanted: DriverName, used: DriverName, stacks: readonly StackOnInfra[]): HarnessError {
  return new HarnessError(
    "DRIVER_DIFFERS",
    `The config wants the driver ${wanted}, but ${list(stacks)} ${stacks.length === 1 ? "lives" : "live"} on ${used}: a database cannot move.`,
    {
      hint: `Keep infra.driver at auto or ${used}, or run first: agent-harness teardown-all --everywhere`,
      leftBehind: "everything: nothing was touched",
      context: { wanted, used, ids: stacks.map((one) => one.id) },
    },
  );
}

const list = (stacks: readonly StackOnInfra[]): string =>
  `agent${stacks.length === 1 ? "" : "s"} ${stacks.map((one) => one.id).join(", ")}`;
