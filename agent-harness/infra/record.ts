import { z } from "zod";
import { HarnessError } from "../shared/errors.ts";
import { findText, setAside, writeFileAtomic } from "../shared/files.ts";
import type { HomePaths } from "../shared/paths.ts";
import { type InfraPorts, infraPorts, infraPortVariables } from "../shared/settings.ts";
import { type DriverName, driverNames } from "./services.ts";

const port = z.int().min(1).max(65_535);

const schema = z.object({
  driver: z.enum(driverNames),
  ports: z.object({ postgres: port, s3: port, s3Console: port, browser: port, mailWeb: port, mailSmtp: port }),
  startedAt: z.string(),
  /** What each service was started with, as a hash; only a restart changes it. */
  settings: z.record(z.string(), z.string()).default({}),
  /** Where the containers are, and of what; only with the compose driver. */
  compose: z
    .object({
      project: z.string(),
      /** The engine's address, in the words of DOCKER_HOST. */
      engine: z.string(),
      /** With the certificates that the engine asks for; only for one that does. */
      certFolder: z.string().optional(),
      images: z.object({ postgres: z.string(), s3: z.string(), browser: z.string(), mail: z.string() }),
      /** Whether the browser shares the machine's network, and so reaches a stack that listens on its loopback. */
      browserNetwork: z.enum(["host", "bridge"]),
    })
    .optional(),
  /** Whether the file system below Postgres's data can share blocks between copies; absent until it was tried. */
  reflink: z.boolean().optional(),
});

/** What the running infra was started with; there while it is up. */
export type InfraRecord = z.output<typeof schema>;

/** The record of the running infra; undefined when it is down. One that cannot be read is set aside. */
export async function findRecord(paths: HomePaths): Promise<InfraRecord | undefined> {
  const text = await findText(paths.infra);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // `up` finds the running services by asking them, and writes the record anew.
    await setAside(paths.infra);
    return undefined;
  }
}

/** Writes down what infra was started with. */
export async function writeRecord(paths: HomePaths, record: InfraRecord): Promise<void> {
  await writeFileAtomic(paths.infra, `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * The ports to start with: those of the running infra, else those of the environment. Throws PORTS_DIFFER when a variable
 * asks for another port than the one that stacks already use.
 */
export function agreeOnPorts(
  known: InfraRecord | undefined,
  env: Readonly<Record<string, string | undefined>>,
): InfraPorts {
  const ports = infraPorts(env);
  if (known === undefined) return ports;
  const names = Object.keys(infraPortVariables) as (keyof InfraPorts)[];
  // What nobody asked for stays as it is: a shell without the variables finds the infra that another one started.
  const differing = names.filter((name) => env[infraPortVariables[name].variable] && ports[name] !== known.ports[name]);
  if (differing.length === 0) return known.ports;
  const list = differing.map(
    (name) => `${infraPortVariables[name].variable} is ${ports[name]}, not ${known.ports[name]}`,
  );
  throw new HarnessError("PORTS_DIFFER", `Infra was started with other ports: ${list.join("; ")}.`, {
    hint: `Unset ${differing.map((name) => infraPortVariables[name].variable).join(", ")}, or run first: agent-harness infra down`,
    leftBehind: "everything: nothing was touched",
  });
}

/** A record of infra that is about to be started by a driver. */
export const newRecord = (driver: DriverName, ports: InfraPorts): InfraRecord => ({
  driver,
  ports,
  startedAt: new Date().toISOString(),
  settings: {},
});
