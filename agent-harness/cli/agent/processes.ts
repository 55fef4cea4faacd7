import type { StackStatus } from "../../stacks/index.ts";
import {
  type LogLine,
  listClaims,
  logSources,
  type ProcessStats,
  restart,
  selectProcesses,
  settleReaper,
  stackStats,
  stackStatus,
} from "../../stacks/index.ts";
import { command } from "../command.ts";
import { logOptions, showLogs } from "../logs.ts";
import { sizeText, table } from "../output.ts";
import { homeOf, ledgerOf } from "../stack-command.ts";
import { statusText } from "../status.ts";
import { urlLines } from "./url.ts";

export const logs = command<void>({
  usage: "logs [process]",
  summary: "the last lines of the logs of all processes, or of one; ends by itself",
  options: logOptions,
  ownJson: true,
  run: async ([word], options, context) => {
    const ledger = await ledgerOf(undefined, context);
    const text = ({ process, line }: LogLine): string => `${process}  ${line}\n`;
    await showLogs(logSources(ledger, selectProcesses(ledger, word)), options, context, text);
  },
});

export const stats = command<ProcessStats[]>({
  usage: "stats",
  summary: "CPU and memory of each process, summed over everything that it started",
  run: async (_, __, context) => await stackStats(homeOf(context), await ledgerOf(undefined, context)),
  text: (all) => {
    const rows = all.map((one) => [one.process, one.count, one.cpu, sizeText(one.memoryBytes)]);
    const memory = all.reduce((sum, one) => sum + one.memoryBytes, 0);
    const cpu = Math.round(all.reduce((sum, one) => sum + one.cpu, 0) * 10) / 10;
    const count = all.reduce((sum, one) => sum + one.count, 0);
    return table(["process", "processes", "cpu %", "memory"], [...rows, ["all", count, cpu, sizeText(memory)]]);
  },
});

export const url = command<Record<string, string>>({
  usage: "url",
  summary: "the URLs of the front end and the API",
  run: async (_, __, context) => (await ledgerOf(undefined, context)).urls,
  text: urlLines,
});

export const restartCommand = command<string[]>({
  usage: "restart [process]",
  summary: "restart one process, or all, and wait until they are healthy",
  run: async ([word], _, context) => {
    const names = await restart(homeOf(context), await ledgerOf(undefined, context), word);
    // One that was stopped is watched again.
    await settleReaper(homeOf(context), context.env);
    return names;
  },
  text: (names) => names.map((name) => `restarted ${name}\n`).join(""),
});

async function statusOf(context: Parameters<typeof ledgerOf>[1]): Promise<StackStatus> {
  const paths = homeOf(context);
  const { id } = await ledgerOf(undefined, context);
  const [status] = await stackStatus(
    paths,
    (await listClaims(paths)).filter((one) => one.id === id),
  );
  if (status === undefined) throw new Error(`agent ${id} has a ledger but no claim`);
  return status;
}

export const status = command<StackStatus>({
  usage: "status",
  summary: "the processes of the stack",
  run: async (_, __, context) => await statusOf(context),
  text: statusText,
});

export const health = command<{
  healthy: boolean;
  processes: { process: string; healthy: boolean; reason?: string }[];
}>({
  usage: "health",
  summary: "whether every process is healthy, asked now; exit 1 when not",
  run: async (_, __, context) => {
    const { processes } = await statusOf(context);
    return {
      healthy: processes.length > 0 && processes.every((one) => one.healthy),
      processes: processes.map(({ process, healthy, reason }) => ({
        process,
        healthy,
        ...(reason === undefined ? {} : { reason }),
      })),
    };
  },
  text: ({ processes }) =>
    processes.map((one) => `${one.healthy ? "✔" : "✖"} ${one.process}  ${one.reason ?? "healthy"}\n`).join(""),
  exitCode: ({ healthy }) => (healthy ? 0 : 1),
});
