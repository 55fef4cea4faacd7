import { join, resolve } from "node:path";
import { HarnessError } from "../../shared/errors.ts";
import { stackFolder } from "../../shared/paths.ts";
import { runCommand } from "../../shared/run-command.ts";
import { processEnv, stackPath } from "../env.ts";
import { markVariable, stackMark } from "../plan.ts";
import { entryOf, type LaunchContext, type Resource } from "../resource.ts";
import { carryOver } from "../worktree/carry-over.ts";
import { processes } from "./processes.ts";

/**
 * What makes a new worktree ready to run: ignored files carried over, then the config's install commands. Done once for
 * each worktree, and gone with it.
 */
export const install: Resource = {
  kind: "install",

  ensure: async (context) => {
    const { worktree, ledger, plan } = context;
    const known = entryOf(ledger, "install") ?? {};
    if (worktree === undefined || worktree.adopted || known["done"] === true) return known;
    const carried = await carryOver(worktree.repository, worktree.path);
    if (carried.length > 0) note(context, `carried over: ${carried.join(", ")}`);
    // A step of a killed launch may run on; nothing else of the stack does before its install is done.
    if (plan.install.length > 0) await processes.destroy(context);
    for (const step of plan.install) await runStep(step, context);
    return { done: true };
  },

  destroy: async () => undefined,
  exists: async () => undefined,
};

const note = ({ progress }: LaunchContext, text: string): void => progress({ type: "detail", step: "install", text });

async function runStep(
  { label, argv, cwd }: { label: string; argv: readonly string[]; cwd: string },
  context: LaunchContext,
): Promise<void> {
  const { plan, paths, ledger, infra } = context;
  const logFile = join(stackFolder(ledger.id, paths.home), "logs", "install.log");
  const folder = resolve(plan.workdir, cwd);
  const { exitCode, tail } = await runCommand(argv, {
    cwd: folder,
    env: processEnv(
      { ...plan.env, [markVariable]: stackMark(infra.machine, ledger.id) },
      stackPath(plan.workdir, folder),
    ),
    logFile,
    onLine: (text) => note(context, text),
  });
  if (exitCode === 0) return;
  throw new HarnessError("INSTALL_FAILED", `"${label}" exited with ${exitCode} in ${folder}.\n${tail.join("\n")}`, {
    hint: `Mend worktree.install in agent-harness.yml, or what it runs, then: agent-harness launch ${ledger.id}`,
    leftBehind: `the worktree ${plan.workdir}, and what else of agent ${ledger.id} was made; the whole output is in ${logFile}`,
  });
}
