import { roughly } from "../shared/duration.ts";
import { type StackStatus, settleReaper, stackStatus, stacksOf } from "../stacks/index.ts";
import { command } from "./command.ts";
import { jsonText, table } from "./output.ts";
import { duration } from "./progress.ts";
import { homeOf, ledgerOf } from "./stack-command.ts";
import { watchStatus } from "./watch.ts";

export const statusCommand = command<StackStatus[] | undefined>({
  usage: "status [id]",
  summary: "the stacks of this repository, or one of them, asked now",
  options: [
    ["--everywhere", "the stacks of every repository of this machine"],
    ["--watch", "a live view on the terminal: health, ports, CPU and memory, git, verify; q leaves it"],
    ["--json", "print the result as one JSON document; with --watch, one a line each second"],
  ],
  ownJson: true,
  run: async ([id], options, context) => {
    const paths = homeOf(context);
    const only = id === undefined ? undefined : (await ledgerOf(id, context)).id;
    const everywhere = options["everywhere"] === true || only !== undefined;
    await settleReaper(paths, context.env);
    if (options["watch"] === true) {
      await watchStatus({ everywhere, id: only }, context);
      return undefined;
    }
    const all = await stacksOf(paths, { cwd: context.cwd, everywhere });
    const chosen = only === undefined ? all : all.filter((one) => one.id === only);
    return await stackStatus(paths, chosen, { inFull: context.json });
  },
  text: (all, { json }) => {
    if (all === undefined) return "";
    if (json) return jsonText(all);
    return all.length === 0 ? "There is no stack here. Run: agent-harness launch 1\n" : all.map(statusText).join("\n");
  },
  exitCode: (all) => (all?.some((one) => one.status === "unhealthy" || one.status === "failed") ? 1 : 0),
});

/** One stack with its processes. */
export function statusText(stack: StackStatus): string {
  const busy = stack.busyPid === undefined ? "" : `, pid ${stack.busyPid} is ${stack.busy ?? "working on it"}`;
  const rows = stack.processes.map((one) => [
    one.process,
    one.healthy ? one.status : `${one.status}: ${one.reason ?? ""}`,
    one.pid ?? "",
    one.port ?? "",
    one.restarts,
    one.upMs === undefined ? "" : duration(one.upMs),
  ]);
  const heading = `agent ${stack.id}  ${stack.status}${busy}  ${stack.workdir}\n${lifetimeLines(stack)}`;
  return heading + (rows.length === 0 ? "" : table(["process", "status", "pid", "port", "restarts", "up"], rows));
}

function lifetimeLines({ id, stopped, expiresAt, idleMs }: StackStatus): string {
  const left = expiresAt === undefined ? undefined : Date.parse(expiresAt) - Date.now();
  const lines = [
    ...(stopped === undefined ? [] : [`stopped: ${stopped.reason}; agent-harness launch ${id} brings it back`]),
    ...(left === undefined || left <= 0 ? [] : [`torn down in ${roughly(left)}`]),
    ...(idleMs === undefined || stopped !== undefined ? [] : [`stopped when nobody uses it for ${roughly(idleMs)}`]),
  ];
  return lines.map((line) => `  ${line}\n`).join("");
}
