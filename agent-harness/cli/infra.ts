import {
  infraDestroy,
  infraDown,
  infraStatus,
  infraUp,
  parseServiceId,
  resolveInfra,
  type ServiceStatus,
  serviceIds,
  serviceLog,
} from "../infra/index.ts";
import type { InfraConfig } from "../shared/config-schema.ts";
import { followLogs, openInfraConfig, readLogs, requireNoStacks } from "../stacks/index.ts";
import { type CommandContext, command } from "./command.ts";
import { table } from "./output.ts";
import { homeOf } from "./stack-command.ts";
import { parseCount } from "./usage.ts";

/** Infra is the machine's: outside of any project its commands work with what every machine has. */
async function settings(context: CommandContext): Promise<{ config: InfraConfig; env: CommandContext["env"] }> {
  return await openInfraConfig({ cwd: context.cwd, config: context.config, env: context.env });
}

const force = ["--force", "even though stacks are alive"] as const;

export const infraUpCommand = command<ServiceStatus[]>({
  usage: "infra up",
  summary: "start the shared services that do not run: Postgres, object store, browser, mail",
  run: async (_, __, context) => {
    const paths = homeOf(context);
    const infra = await infraUp({ paths, ...(await settings(context)), progress: context.progress });
    return await infraStatus(paths, infra);
  },
  text: statusText,
});

export const infraStatusCommand = command<ServiceStatus[]>({
  usage: "infra status",
  summary: "each shared service, asked now",
  run: async (_, __, context) => {
    const paths = homeOf(context);
    const { config, env } = await settings(context);
    return await infraStatus(paths, await resolveInfra(paths, config, env));
  },
  text: statusText,
  exitCode: (all) => (all.every((one) => one.healthy) ? 0 : 1),
});

function statusText(all: readonly ServiceStatus[]): string {
  const rows = all.map((one) => [
    one.service,
    one.healthy ? "healthy" : "down",
    one.driver,
    one.pid ?? "",
    one.url,
    one.detail,
  ]);
  return table(["service", "state", "driver", "pid", "url", "detail"], rows);
}

export const infraDownCommand = command<string[]>({
  usage: "infra down",
  summary: "stop the shared services and keep their data",
  options: [force],
  run: async (_, options, context) => {
    const paths = homeOf(context);
    await requireNoStacks(paths, options["force"] === true);
    return await infraDown({ paths, progress: context.progress });
  },
  text: (stopped) => (stopped.length === 0 ? "No service was running.\n" : `Stopped ${stopped.join(", ")}.\n`),
});

export const infraDestroyCommand = command<string[]>({
  usage: "infra destroy",
  summary: "stop the shared services and delete all their data, the harness's own database too",
  options: [["--force", "really do it"]],
  run: async (_, options, context) => {
    const paths = homeOf(context);
    await requireNoStacks(paths, false);
    return await infraDestroy({ paths, progress: context.progress, force: options["force"] === true });
  },
  text: (folders) => folders.map((folder) => `deleted ${folder}\n`).join(""),
});

export const infraLogsCommand = command<void>({
  usage: "infra logs [service]",
  summary: "the last lines of the services' logs",
  options: [
    ["--lines <n>", "how many of each"],
    ["--follow", "go on until interrupted"],
  ],
  ownJson: true,
  run: async ([service], options, context) => {
    const paths = homeOf(context);
    const ids = service === undefined ? serviceIds : [parseServiceId(service)];
    const logs = ids.map((id) => ({ process: id, name: id, aliases: [], logFile: serviceLog(paths, id) }));
    const print = ({ process, line }: { process: string; line: string }): void =>
      context.stdout(`${process}  ${line}\n`);
    for (const line of await readLogs(logs, parseCount("--lines", options["lines"], 50))) print(line);
    if (options["follow"] === true) await followLogs(logs, new AbortController().signal, print);
  },
});
