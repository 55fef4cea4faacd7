import { type StackStatus, stackStatus, stacksOf } from "../stacks/index.ts";
import { command } from "./command.ts";
import { table } from "./output.ts";
import { duration } from "./progress.ts";
import { homeOf, ledgerOf } from "./stack-command.ts";

export const statusCommand = command<StackStatus[]>({
  usage: "status [id]",
  summary: "the stacks of this repository, or one of them, asked now",
  options: [["--everywhere", "the stacks of every repository of this machine"]],
  run: async ([id], options, context) => {
    const paths = homeOf(context);
    const only = id === undefined ? undefined : (await ledgerOf(id, context)).id;
    const all = await stacksOf(paths, {
      cwd: context.cwd,
      everywhere: options["everywhere"] === true || only !== undefined,
    });
    return await stackStatus(paths, only === undefined ? all : all.filter((one) => one.id === only));
  },
  text: (all) =>
    all.length === 0 ? "There is no stack here. Run: agent-harness launch 1\n" : all.map(statusText).join("\n"),
  exitCode: (all) => (all.some((one) => one.status === "unhealthy" || one.status === "failed") ? 1 : 0),
});

/** One stack with its processes. */
export function statusText(stack: StackStatus): string {
  const busy = stack.busyPid === undefined ? "" : `, pid ${stack.busyPid} is working on it`;
  const rows = stack.processes.map((one) => [
    one.process,
    one.healthy ? one.status : `${one.status}: ${one.reason ?? ""}`,
    one.pid ?? "",
    one.port ?? "",
    one.restarts,
    one.upMs === undefined ? "" : duration(one.upMs),
  ]);
  const heading = `agent ${stack.id}  ${stack.status}${busy}  ${stack.workdir}\n`;
  return heading + (rows.length === 0 ? "" : table(["process", "status", "pid", "port", "restarts", "up"], rows));
}
