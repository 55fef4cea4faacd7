import { errorCodes, errorKinds } from "../shared/errors.ts";
import { type GcItem, gc, openInfraConfig } from "../stacks/index.ts";
import { command } from "./command.ts";
import { table } from "./output.ts";
import { homeOf } from "./stack-command.ts";

export const gcCommand = command<GcItem[]>({
  usage: "gc",
  summary:
    "remove what carries our mark and no stack owns: databases, buckets, processes, files, worktrees, old template databases",
  options: [["--dry-run", "only say what would go"]],
  run: async (_, options, { cwd, config, env, ...context }) => {
    const place = await openInfraConfig({ cwd, config, env });
    return await gc({ paths: homeOf({ env, ...context }), ...place, dryRun: options["dryRun"] === true });
  },
  text: gcText,
  exitCode: gcExitCode,
});

function gcText(items: readonly GcItem[]): string {
  if (items.length === 0) return "Nothing lies around without an owner.\n";
  const rows = items.map((one) => [one.action, one.kind, one.name, one.owner ?? "", one.reason]);
  return table(["", "kind", "name", "agent", "why"], rows);
}

/** That of the first thing that could not be looked at or removed; 0 when all went as it should. */
function gcExitCode(items: readonly GcItem[]): number {
  const code = items.find((one) => one.code !== undefined)?.code;
  return code === undefined ? 0 : errorKinds[errorCodes[code]].exitCode;
}
