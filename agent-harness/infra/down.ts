import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { harnessDatabase } from "../shared/names.ts";
import type { HomePaths } from "../shared/paths.ts";
import { infraPorts } from "../shared/settings.ts";
import { wasUsed } from "./compose/secrets.ts";
import { ensureCredentials } from "./credentials.ts";
import type { DriverContext } from "./driver.ts";
import { openDriver } from "./open-driver.ts";
import { findRecord, type InfraRecord } from "./record.ts";
import type { DriverName } from "./services.ts";
import type { InfraOptions } from "./up.ts";

type DownOptions = Pick<InfraOptions, "paths" | "config" | "env" | "progress">;

/** Stops our services and keeps their data. External ones are left alone. Returns the names of what was stopped. */
export async function infraDown(options: DownOptions): Promise<string[]> {
  return await withInfraLock(options.paths, async () => {
    const record = await findRecord(options.paths);
    const stopped: string[] = [];
    for (const name of await driversOf(record, options.paths)) {
      await using driver = await openDriver(name, await contextOf(record, options));
      stopped.push(...(await driver.stop()));
    }
    await rm(options.paths.infra, { force: true });
    return stopped;
  });
}

/** Stops our services and deletes all their data: every database and bucket on this machine. Needs `force`. */
export async function infraDestroy(options: DownOptions & { force: boolean }): Promise<string[]> {
  const { paths, force } = options;
  if (!force) {
    throw new HarnessError(
      "CONFIRMATION_NEEDED",
      `This deletes every agent's database and bucket, all snapshots, and ${harnessDatabase}, the harness's own database.`,
      { hint: "Run: agent-harness infra destroy --force", leftBehind: "everything: nothing was touched" },
    );
  }
  return await withInfraLock(paths, async () => {
    const record = await findRecord(paths);
    const deleted: string[] = [];
    // Both drivers' data: what is left of either could not be opened once the credentials are gone.
    const names: DriverName[] = (await wasUsed(paths)) ? ["compose", "embedded"] : ["embedded"];
    for (const name of names) {
      await using driver = await openDriver(name, await contextOf(record, options));
      await driver.stop();
      deleted.push(...(await driver.destroy()));
    }
    await rm(paths.infra, { force: true });
    await rm(paths.credentials, { force: true });
    return deleted;
  });
}

/** The drivers that may have something running: the recorded one, or without a record each that was ever used. */
async function driversOf(record: InfraRecord | undefined, paths: HomePaths): Promise<DriverName[]> {
  if (record !== undefined) return [record.driver];
  return (await wasUsed(paths)) ? ["embedded", "compose"] : ["embedded"];
}

/** What a driver is opened with when nothing may be known of what runs. */
async function contextOf(record: InfraRecord | undefined, options: DownOptions): Promise<DriverContext> {
  const { paths, config, env, progress } = options;
  const credentials = await ensureCredentials(paths);
  return { paths, config, env, progress, credentials, record: record ?? { ports: infraPorts(env) } };
}

const withInfraLock = async <T>(paths: HomePaths, run: () => Promise<T>): Promise<T> =>
  await withLock(join(paths.home, "locks", "infra"), { doing: "starting or stopping infra" }, run);
