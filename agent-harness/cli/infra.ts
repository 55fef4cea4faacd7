import {
  type InfraPlace,
  infraDestroy,
  infraDown,
  infraLogs,
  infraStatus,
  parseServiceId,
  type ServiceStatus,
  serviceIds,
} from "../infra/index.ts";
import { openInfraConfig, requireNoStacks, startInfra } from "../stacks/index.ts";
import { type CommandContext, command } from "./command.ts";
import { sizeText, table } from "./output.ts";
import { driverOption, homeOf, withDriver } from "./stack-command.ts";
import { parseCount } from "./usage.ts";

/** Infra is the machine's: outside of any project its commands work with what every machine has. */
async function placeOf(context: CommandContext): Promise<InfraPlace> {
  const { config, env } = await openInfraConfig({ cwd: context.cwd, config: context.config, env: context.env });
  return { paths: homeOf(context), config, env };
}

const force = ["--force", "even though stacks are alive"] as const;

export const infraUpCommand = command<ServiceStatus[]>({
  usage: "infra up",
  summary: "start the shared services that do not run: Postgres, object store, browser, mail",
  options: [driverOption],
  run: async (_, options, context) => {
    const place = await placeOf(withDriver(context, options));
    await startInfra({ ...place, progress: context.progress });
    return await infraStatus(place);
  },
  // Notes were given while the services started.
  text: tableText,
});

export const infraStatusCommand = command<ServiceStatus[]>({
  usage: "infra status",
  summary: "each shared service, asked now",
  run: async (_, __, context) => await infraStatus({ ...(await placeOf(context)), progress: context.progress }),
  text: statusText,
  exitCode: (all) => (all.every((one) => one.healthy) ? 0 : 1),
});

/** The table, then what of a service that works a person has to know all the same. */
function statusText(all: readonly ServiceStatus[]): string {
  return tableText(all) + all.map((one) => (one.note === undefined ? "" : `${one.note}\n`)).join("");
}

function tableText(all: readonly ServiceStatus[]): string {
  const contained = all.some((one) => one.image !== undefined);
  const rows = all.map((one) => [
    one.service,
    one.healthy ? "healthy" : "down",
    one.driver ?? "",
    ...(contained ? [one.image ?? "", memoryText(one)] : [one.pid ?? ""]),
    one.url,
    one.detail,
  ]);
  return table(["service", "state", "driver", ...(contained ? ["image", "memory"] : ["pid"]), "url", "detail"], rows);
}

const memoryText = ({ memoryBytes, memoryLimitBytes }: ServiceStatus): string =>
  memoryBytes === undefined ? "" : `${sizeText(memoryBytes)} of ${sizeText(memoryLimitBytes ?? 0)}`;

export const infraDownCommand = command<string[]>({
  usage: "infra down",
  summary: "stop the shared services and keep their data",
  options: [force],
  run: async (_, options, context) => {
    const paths = homeOf(context);
    await requireNoStacks(paths, options["force"] === true);
    return await infraDown({ ...(await placeOf(context)), progress: context.progress });
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
    const force = options["force"] === true;
    return await infraDestroy({ ...(await placeOf(context)), progress: context.progress, force });
  },
  text: (deleted) => deleted.map((one) => `deleted ${one}\n`).join(""),
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
    const ids = service === undefined ? serviceIds : [parseServiceId(service)];
    const lines = parseCount("--lines", options["lines"], 50);
    const follow = options["follow"] === true ? { follow: new AbortController().signal } : {};
    await infraLogs(await placeOf(context), ids, { lines, ...follow }, ({ service: id, line }) =>
      context.stdout(`${id}  ${line}\n`),
    );
  },
});
