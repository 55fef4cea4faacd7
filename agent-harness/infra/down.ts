import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HarnessError } from "../shared/errors.ts";
import { withLock } from "../shared/lock.ts";
import { harnessDatabase, serviceProcessName } from "../shared/names.ts";
import { removeFolder } from "../shared/paths.ts";
import { findProcesses } from "../shared/processes.ts";
import { withStep } from "../shared/progress.ts";
import { serviceIds } from "./services.ts";
import { stopStrays } from "./strays.ts";
import type { InfraOptions } from "./up.ts";

/** Stops our services and keeps their data. External ones are left alone. Returns the names of what was stopped. */
export async function infraDown({ paths, progress }: Pick<InfraOptions, "paths" | "progress">): Promise<string[]> {
  return await withLock(join(paths.home, "locks", "infra"), { doing: "starting or stopping infra" }, async () => {
    const processes = await findProcesses(paths.pm2);
    if (processes === undefined) {
      // A daemon that was killed leaves what it ran.
      const strays = await stopStrays(paths.home, []);
      await rm(paths.infra, { force: true });
      return strays === 0 ? [] : serviceIds.map(serviceProcessName);
    }
    await using open = processes;
    const names = serviceIds.map(serviceProcessName);
    const running = (await open.list()).map((one) => one.name);
    const supervised = names.filter((name) => running.includes(name));
    await withStep(
      progress,
      "stop services",
      () => open.remove(supervised),
      () => supervised.join(", ") || "none ran",
    );
    // This daemon may be a second one, which knows nothing of what the first one left running.
    const strays = await stopStrays(
      paths.home,
      (await open.list()).flatMap((one) => one.pid ?? []),
    );
    // Nothing left to look after: the daemon goes too.
    if (running.every((name) => supervised.includes(name))) await open.stopDaemon();
    await rm(paths.infra, { force: true });
    return strays === 0 ? supervised : names;
  });
}

/** Stops our services and deletes all their data: every database and bucket on this machine. Needs `force`. */
export async function infraDestroy({
  paths,
  progress,
  force,
}: Pick<InfraOptions, "paths" | "progress"> & { force: boolean }): Promise<string[]> {
  const data = [paths.postgresData, paths.s3Data, paths.mailData];
  if (!force) {
    throw new HarnessError(
      "CONFIRMATION_NEEDED",
      `This deletes every agent's database and bucket, and ${harnessDatabase}, the harness's own database.`,
      { hint: "Run: agent-harness infra destroy --force", leftBehind: "everything: nothing was touched" },
    );
  }
  await infraDown({ paths, progress });
  for (const folder of data) await withStep(progress, `delete ${folder}`, () => removeFolder(folder, paths.home));
  // They opened what is gone now.
  await rm(paths.credentials, { force: true });
  return data;
}
